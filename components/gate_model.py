"""Decide whether a model is good enough to be exported."""

from kfp.dsl import Artifact, Dataset, Input, Markdown, Model, Output

from components.base import component


@component
def gate_model(
    manifest: Input[Dataset],
    model: Input[Model],
    evaluation: Input[Artifact],
    min_miou: float,
    decision: Output[Artifact],
    summary: Output[Markdown],
) -> str:
    """Decide, and track the run's row from what led here. Never cached.

    Args:
        decision: decision.json and decision.md.
        summary: the decision once more, as KFP shows it.

    Returns:
        "promote" or "hold". (One unnamed output: a condition on a named one is
        silently skipped by the local runner.)
    """
    import json
    import shutil
    from pathlib import Path

    from components import tracking
    from seglib.steps.gate import decide, write_decision

    inputs = [manifest, model, evaluation]
    with tracking.step("gate", out=decision, inputs=inputs) as step:
        config = tracking.config(locals())
        scores = json.loads((Path(evaluation.path) / "metrics.json").read_text())
        decided = decide(scores, config=config.gate)
        write_decision(decided, Path(decision.path))
        shutil.copy(Path(decision.path) / "decision.md", summary.path)
        tracking.send(
            "decided",
            lineage=step.lineage,
            verdict=decided.verdict,
            reasons="; ".join(decided.reasons),
            manifest=manifest.path,
            model=model.path,
            evaluation=evaluation.path,
            decision=decision.path,
        )
    return decided.verdict
