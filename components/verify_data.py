"""Open every file of a dataset, and pin what was found in a manifest."""

from kfp.dsl import HTML, Dataset, Output

from components.base import component


@component
def verify_data(
    data_md5: str,
    remote: str,
    code_version: str,
    num_classes: int,
    ignore_index: int,
    class_names: str,
    manifest: Output[Dataset],
    report: Output[HTML],
) -> None:
    """Fetch a dataset by its hash and verify all of it.

    Args:
        data_md5: the hash DVC gives the folder, "….dir".
        remote: where its files are: a DVC remote (s3:// or a folder), or the folder.
        code_version: changes with the code, so that its outputs are not reused.
        manifest: manifest.json and report.html: later steps need no more of the data
            than this, and fetch by hash what they read.
        report: the report once more, as KFP shows it.
    """
    given = locals()
    from seglib.tasks import verify_task as task

    task.verify_data(**given)
