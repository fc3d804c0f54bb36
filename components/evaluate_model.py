"""Score a model on images it has not seen, at their original size."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Model, Output

from components.base import component


@component
def evaluate_model(
    manifest: Input[Dataset],
    model: Input[Model],
    code_version: str,
    split: str,
    num_overlays: int,
    evaluation: Output[Artifact],
    metrics: Output[Metrics],
    report: Output[HTML],
) -> None:
    """Evaluate on the test split, or on val where there is no test split.

    Args:
        manifest: of the verified dataset; only the evaluated split is fetched.
        code_version: changes with the code, so that its outputs are not reused.
        evaluation: metrics.json, confusion matrix, per-image scores, overlays, report.
        metrics: the overall scores, as KFP shows them.
        report: the report once more, as KFP shows it.
    """
    import json
    import shutil
    from pathlib import Path

    from seglib.data.manifest import open_dataset
    from seglib.runtime.step import KEPT
    from seglib.steps.evaluate import evaluate
    from seglib.tracking import run as tracking
    from seglib.training.checkpoints import forget

    with tracking.step("evaluate", out=evaluation, inputs=[manifest, model]) as step:
        config = tracking.config(locals())
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
