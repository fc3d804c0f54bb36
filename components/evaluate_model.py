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
    given = locals()
    from seglib.tasks import evaluate_task as task

    task.evaluate_model(**given)
