"""The task `evaluate-model`: score a model on images that it has not seen."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seglib.data.manifest import open_dataset, read_manifest
from seglib.environment import GIT_COMMIT
from seglib.runtime.provenance import KEPT, Origin, total_s
from seglib.runtime.step import Artifact
from seglib.steps.evaluate import evaluate
from seglib.tasks.task import configure, task
from seglib.tracking.names import dataset_name
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
        evaluate(
            path,
            data,
            config=config.evaluate,
            out=out,
            progress=step.progress,
            facts=_facts(step.lineage, Path(manifest.path)),
        )
        scores = json.loads((out / "metrics.json").read_text())
        overall = {k: v for k, v in scores.items() if isinstance(v, float)}
        for name, value in overall.items():
            metrics.log_metric(name, value)
        Path(metrics.path).write_text(json.dumps(overall))  # no file, no caching
        shutil.copy(out / "report.html", report.path)
        # The model has come through, whole: its training need not be remembered.
        forget(step.lineage.get("train", {}).get(KEPT, ""))


def _facts(lineage: Mapping[str, Origin], manifest: Path) -> dict[str, str]:
    """About data, training and code, for the page."""
    data, trained = read_manifest(manifest), lineage.get("train", {})
    facts = {
        "Data": dataset_name({"remote": data.remote, "root": data.root}),
        "Commit": os.environ.get(GIT_COMMIT, ""),
    }
    if "finished" in trained:
        minutes = total_s(trained) / 60
        facts["Trained"] = (
            f"until {trained['finished'][:16].replace('T', ' ')} UTC, "
            f"{minutes:,.0f} min, run {trained['run_id']}"
        )
    return facts
