"""Train one model in several pods.

Each pod runs `python -m seglib.tasks.train_together PARAMETERS`, with the parameters of
the pipeline as JSON. It fetches, verifies and augments the data for itself, by the
pipeline's own tasks; then all train together. The outcome is kept where checkpoints
are: the training of a pipeline run of the same image, data and settings takes it there.

The pods find each other by SEGLIB_HOSTS (all of them, in the order of their index, each
`HOST` or `HOST:PORT`), SEGLIB_HOST_INDEX and SEGLIB_PORTS_FROM (2222). Each starts
SEGLIB_PROCESSES processes (1), one for each of its GPUs, on ports that follow.

The exit status is 78 for an error that comes every time, such as a bucket that is not
there: the job ends by it (pipeline/train_job/resources.py). After any other error all
pods start again, SEGLIB_RETRIES times; SEGLIB_ATTEMPT counts them from 0, and the
MLflow run stays open until the last one has failed.
"""

import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from seglib.delivery.sending import (
    closing,
    events_of_process,
    send_before_exit,
)
from seglib.distributed import LostProcessError, run_processes
from seglib.distributed.cluster import Cluster
from seglib.distributed.process_group import Terminated
from seglib.environment import (
    ATTEMPT,
    CHECKPOINTS,
    RETRIES,
    TF_CONFIG,
    TRACKING_URI,
    TRAIN_JOB,
)
from seglib.errors import FINAL, SegError, UsageError, is_final
from seglib.runtime.events import source_tags, tell
from seglib.runtime.pod_processes import clusters_of_pod
from seglib.tracking.names import experiment_name

logger = logging.getLogger(__name__)

_GIVEN = ("data_md5", "remote", "code_version")  # beside the settings

Parameters = Mapping[str, Any]


class Output:
    """A folder of this pod alone, in place of a KFP artifact."""

    def __init__(self, folder: Path):
        self.path = self.uri = str(folder)


def main(arguments: list[str]) -> int:
    """Prepare the data, and train; or start the processes that do.

    Returns:
        The exit status: 0, or that of the first process that failed.

    Raises:
        SegError: the variables or the arguments are not as they should be.
        SystemExit: a step failed, and has said why.
    """
    parameters = _parameters(arguments)
    _require_checkpoints()
    clusters = clusters_of_pod(os.environ)
    if clusters[0].index:
        os.environ.pop(TRACKING_URI, None)  # the first pod alone tracks
    with tempfile.TemporaryDirectory(prefix="train-together-") as place:
        try:
            status = _work(parameters, clusters, Path(place))
        except (Exception, SystemExit) as error:  # of a step, or SIGTERM
            _close(parameters, exit_status(error))
            raise
        _close(parameters, status)
        return status


def exit_status(error: BaseException) -> int:
    """78 for what comes every time; a step ends by an exit whose cause is its error."""
    if isinstance(error, Terminated):
        return 128 + signal.SIGTERM
    if isinstance(error.__cause__, LostProcessError):
        return LostProcessError.exit_code
    return FINAL if is_final(error) or is_final(error.__cause__) else 1


def _parameters(arguments: list[str]) -> dict[str, Any]:
    from seglib.config import Config

    try:
        (text,) = arguments
        parameters: dict[str, Any] = json.loads(text)
        given = {key: parameters.pop(key) for key in _GIVEN}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UsageError(
            "Expected one argument: the parameters of the pipeline as JSON, data_md5, "
            "remote, code_version and the settings. `python -m pipeline train-job` "
            f"writes it. Received: {arguments}"
        ) from error
    return {**given, **Config.from_flat(parameters).flat()}


def _require_checkpoints() -> None:
    place = os.environ.get(CHECKPOINTS, "")
    if not place.startswith("s3://"):
        raise UsageError(
            f"{CHECKPOINTS} must be s3://bucket/prefix: the pipeline takes the outcome "
            f"from there. Received: {place or 'nothing'}. Name it in the cluster's "
            "ConfigMap, or by --checkpoints of `python -m pipeline train-job`."
        )


def _work(parameters: Parameters, clusters: list[Cluster], folder: Path) -> int:
    from seglib.storage.publishing import check_place

    events = events_of_process()
    tell(events, "open", **_identity(parameters))
    try:
        # Before the data are fetched for nothing.
        check_place(os.environ[CHECKPOINTS])
    except SegError as error:
        tell(events, "failed", step="train", message=str(error), lineage={})
        raise
    _prepare(parameters, folder)
    if len(clusters) > 1:
        return run_processes(_train_as_process, (parameters, folder), clusters)
    if clusters[0].workers:
        os.environ[TF_CONFIG] = clusters[0].to_json()
    return _train(parameters, folder)


def _prepare(parameters: Parameters, folder: Path) -> None:
    """Verify and augment the data, as the pipeline does."""
    from seglib.tasks.augment_task import augment_data
    from seglib.tasks.verify_task import verify_data

    names = ("manifest", "report", "shards", "preview")
    manifest, report, shards, preview = (Output(folder / name) for name in names)
    verify_data(manifest=manifest, report=report, **parameters)
    augment_data(manifest=manifest, shards=shards, preview=preview, **parameters)


def _train_as_process(parameters: Parameters, folder: Path) -> None:
    """Train in one of several processes of this pod, which ends with its status."""
    if status := _status_of(lambda: _train(parameters, folder)):
        sys.exit(status)


def _train(parameters: Parameters, folder: Path) -> int:
    """Train in this process; the first one of all tracks it."""
    from seglib.tasks.train_task import train_model

    is_first = not Cluster.from_environment().index
    if not is_first:
        os.environ.pop(TRACKING_URI, None)
    with tempfile.TemporaryDirectory(dir=folder) as own:
        train_model(
            manifest=Output(folder / "manifest"),
            shards=Output(folder / "shards"),
            model=Output(Path(own) / "model"),
            **parameters,
        )
    kept = f"the outcome is kept in {os.environ[CHECKPOINTS]}"
    logger.info("trained; %s", kept if is_first else "the first process keeps it")
    return 0


def _close(parameters: Parameters, status: int) -> None:
    """Close the MLflow run of the job, unless other pods go on with it."""
    attempt, retries = (os.environ.get(name) or "0" for name in (ATTEMPT, RETRIES))
    goes_on = int(attempt) < int(retries) and status != FINAL
    if status and (goes_on or status == 128 + signal.SIGTERM):
        send_before_exit("train")
        return
    with closing() as events:
        state = "FAILED" if status else "SUCCEEDED"
        tell(events, "close", state=state, **_identity(parameters))


def _identity(parameters: Parameters) -> dict[str, Any]:
    """What the MLflow run of the job tells of it from the beginning."""
    given = {name: parameters[name] for name in _GIVEN}
    settings = {k: v for k, v in parameters.items() if k not in given}
    tags = {**source_tags(), "train_job": os.environ.get(TRAIN_JOB, "")}
    experiment = experiment_name(settings, given["remote"])
    return {**given, "parameters": settings, "tags": tags, "experiment": experiment}


def _end(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


def _set_up_process() -> None:
    logging.basicConfig(stream=sys.stdout, format="%(message)s", force=True)
    for ours in ("seglib", __name__):
        logging.getLogger(ours).setLevel(logging.INFO)  # of libraries, warnings only
    # The first process of a container heeds no signal that it has no handler of.
    signal.signal(signal.SIGTERM, _end)


def _status_of(work: Callable[[], int]) -> int:
    """The exit status of a process's work; its error is told."""
    _set_up_process()
    try:
        return work()
    except (SegError, SystemExit) as error:
        if isinstance(error, SegError):
            logger.error("%s", error)
        return exit_status(error)


if __name__ == "__main__":
    sys.exit(_status_of(lambda: main(sys.argv[1:])))
