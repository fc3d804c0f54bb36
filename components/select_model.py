"""Of a sweep's models, give on the best by val mIoU. Nothing is trained or copied."""

from typing import List  # noqa: UP035 (KFP reads no other)

from kfp.dsl import Artifact, Input, Markdown, Model, Output

from components.base import component


@component
def select_model(
    models: Input[List[Model]],  # noqa: UP006
    model: Output[Model],
    selection: Output[Artifact],
    table: Output[Markdown],
) -> None:
    """Choose by the score on the val split: the test split stays unseen.

    Args:
        models: of all trials.
        model: the best of them, by reference.
        selection: selection.json and the table, the best first, with the reasons of
            failed trials, which have no model.
        table: the same, as KFP shows it.
    """
    given = locals()
    from seglib.tasks import model_tasks as task

    task.select_model(**given)
