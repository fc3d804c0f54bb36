"""The task `gate-model`: is a model good enough, and better than the champion?"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from seglib.evaluation.decision import write_decision
from seglib.registry.promotion import standing
from seglib.runtime.step import Artifact
from seglib.steps.gate import gate
from seglib.tasks.task import configure, task


def gate_model(
    *,
    manifest: Artifact,
    model: Artifact,
    evaluation: Artifact,
    decision: Artifact,
    summary: Artifact,
    **given: Any,
) -> str:
    """Decide; see the component for the arguments.

    Returns:
        "promote" or "hold".
    """
    inputs = {"manifest": manifest, "model": model, "evaluation": evaluation}
    paths = {name: Path(artifact.path) for name, artifact in inputs.items()}
    with (
        task("gate", out=decision, inputs=list(inputs.values())) as step,
        tempfile.TemporaryDirectory() as place,
    ):
        config = configure(step, given).gate
        stands = standing(config.registered_model, paths, folder=Path(place))
        decided = gate(
            **paths, champion=stands.champion, barred=stands.barred, config=config
        )
        write_decision(decided, Path(decision.path))
        shutil.copy(Path(decision.path) / "decision.md", summary.path)
        step.send(
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
