"""Turn a promoted model into the form in which it is served."""

from kfp.dsl import Artifact, Dataset, Input, Model, Output

from components.base import component


@component
def export_model(
    manifest: Input[Dataset],
    model: Input[Model],
    evaluation: Input[Artifact],
    decision: Input[Artifact],
    export_formats: str,
    max_logit_difference: float,
    min_equal_pixels: float,
    max_miou_loss: float,
    export_examples: int,
    publish_to: str,
    publish_name: str,
    export: Output[Model],
) -> None:
    """Export, compare the export with the Keras model, publish, promote. Never cached.

    The files are published at once; `latest` is led to them once the registry has made
    the model champion.

    Args:
        export: the files of each format, comparison.json, README.md (the model card),
            checksums, and lineage.json: all that led to it, back to the masks.
    """
    given = locals()
    from seglib.tasks import model_tasks as task

    task.export_model(**given)
