"""Decide whether a model is good enough, and better than the champion."""

from kfp.dsl import Artifact, Dataset, Input, Markdown, Model, Output

from components.base import component


@component
def gate_model(
    manifest: Input[Dataset],
    model: Input[Model],
    evaluation: Input[Artifact],
    min_miou: float,
    max_latency_ms: float,
    max_model_mb: float,
    min_delta: float,
    max_class_drop: float,
    confidence: float,
    bootstrap_block: int,
    registered_model: str,
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
    import shutil
    import tempfile
    from pathlib import Path

    from seglib.evaluation.decision import write_decision
    from seglib.registry.promotion import standing
    from seglib.steps.gate import gate
    from seglib.tracking import run as tracking

    inputs = [manifest, model, evaluation]
    paths = {
        name: Path(one.path)
        for name, one in zip(("manifest", "model", "evaluation"), inputs, strict=True)
    }
    with (
        tracking.step("gate", out=decision, inputs=inputs) as step,
        tempfile.TemporaryDirectory() as place,
    ):
        config = tracking.config(locals()).gate
        stands = standing(config.registered_model, paths, folder=Path(place))
        decided = gate(
            **paths, champion=stands.champion, barred=stands.barred, config=config
        )
        write_decision(decided, Path(decision.path))
        shutil.copy(Path(decision.path) / "decision.md", summary.path)
        tracking.send(
            "decided",
            lineage=step.lineage,
            verdict=decided.verdict,
            reasons="; ".join(decided.reasons),
            metrics=decided.metrics,
            registry=stands.entry,
            decision=decision.path,
            **{name: str(path) for name, path in paths.items()},
        )
    return decided.verdict
