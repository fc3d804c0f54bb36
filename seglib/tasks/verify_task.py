"""The task `verify-data`: fetch a dataset by its hash and verify all of it."""

import logging
import shutil
from pathlib import Path
from typing import Any

from seglib.data.verification.verifier import verify
from seglib.data.versions import record_counts
from seglib.runtime.step import Artifact
from seglib.steps.verify import write_verification
from seglib.storage.fetching import fetch
from seglib.tasks.task import configure, task

logger = logging.getLogger(__name__)


def verify_data(
    *,
    data_md5: str,
    remote: str,
    manifest: Artifact,
    report: Artifact,
    **given: Any,
) -> None:
    """Fetch and verify a dataset; see the component for the arguments."""
    with task("verify", out=manifest) as step:
        config = configure(step, given)
        root = fetch(data_md5, remote, progress=step.progress)
        verification = verify(root, config=config.data, progress=step.progress)
        out = Path(manifest.path)
        write_verification(verification, out, data_md5=data_md5, remote=remote)
        shutil.copy(out / "report.html", report.path)
        verification.raise_if_bad()
        if count := len(verification.warnings):
            logger.info("%d warning(s): see the data report", count)
        if told := record_counts(verification, data_md5, remote):
            logger.info("%s", told)
