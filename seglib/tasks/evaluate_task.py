"""The task `evaluate-model`: score a model on images that it has not seen."""

import json
import shutil
from pathlib import Path
from typing import Any

from seglib.data.manifest import open_dataset
from seglib.runtime.provenance import KEPT
from seglib.runtime.step import Artifact
from seglib.steps.evaluate import evaluate
from seglib.tasks.task import configure, task
from seglib.training.checkpoints import forget


def evaluate_model(
    *,
    manifest: Artifact,
    model: Artifact,
    split: str,
    evaluation: Artifact,
    metrics: Any,
    report: Artifact,
    **given: Any,
) -> None:
    """Evaluate a model; see the component for the arguments.

    Args:
        metrics: KFP's artifact for metrics, with `log_metric(name, value)`.
    """
    with task("evaluate", out=evaluation, inputs=[manifest, model]) as step:
        config = configure(step, {**given, "split": split})
        data = open_dataset(Path(manifest.path), splits=(split,))
        out, path = Path(evaluation.path), Path(model.path)
        evaluate(path, data, config=config.evaluate, out=out, progress=step.progress)
        scores = json.loads((out / "metrics.json").read_text())
        overall = {k: v for k, v in scores.items() if isinstance(v, float)}
        for name, value in overall.items():
            metrics.log_metric(name, value)
        Path(metrics.path).write_text(json.dumps(overall))  # no file, no caching
        shutil.copy(out / "report.html", report.path)
        # The model has come through, whole: its training need not be remembered.
        forget(step.lineage.get("train", {}).get(KEPT, ""))
