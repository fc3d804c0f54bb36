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
    import shutil
    from pathlib import Path

    from seglib.data.verification.verifier import verify
    from seglib.data.versions import record_counts
    from seglib.steps.verify import write_verification
    from seglib.storage import fetch
    from seglib.tracking import run as tracking

    with tracking.step("verify", out=manifest) as step:
        config = tracking.config(locals())
        root = fetch(data_md5, remote, progress=step.progress)
        verification = verify(root, config=config.data, progress=step.progress)
        out = Path(manifest.path)
        write_verification(verification, out, data_md5=data_md5, remote=remote)
        shutil.copy(out / "report.html", report.path)
        verification.raise_if_bad()
        if verification.warnings:
            step.say(f"{len(verification.warnings)} warning(s): see the data report")
        if told := record_counts(verification, data_md5, remote):
            step.say(told)
