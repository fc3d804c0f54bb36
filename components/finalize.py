"""Close the MLflow run of the pipeline run, however it ended."""

from kfp import dsl

from components.base import component


@component
def finalize(
    status: dsl.PipelineTaskFinalStatus, data_md5: str, remote: str, code_version: str
) -> None:
    """The exit task: runs last, and also when a step failed.

    The run's settings come from KFP's API, so that a run that failed early says what
    it was given; each step tells its own settings, too.

    Args:
        status: how the steps ended, from KFP; a hint, where its API says more.
        remote: where the data are.
    """
    given = locals()
    from seglib.tasks import verdict_tasks as task

    task.finalize(**given)
