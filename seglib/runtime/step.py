"""One execution of a step: what it tells while it runs, and where its output is from.

Messages go, one JSON object a line, to the file named by SEGLIB_MESSAGES: the local
runner follows that file, shows the progress and does the tracking, so that MLflow is
imported once a run and not once a step. Where there is no such file (on a cluster),
progress is printed and the rest is sent by this process (seglib/tracking/pod.py).
"""

import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from seglib.plain_text import VisibleFormatter, without_login

logger = logging.getLogger(__name__)

MESSAGES = "SEGLIB_MESSAGES"
RUN_ID = "KFP_RUN_ID"
# Where a training keeps its state: a folder or s3://bucket/prefix. It decides no
# result, so it is no parameter: KFP's cache key holds those, but not the environment,
# and a project that moves its checkpoints trains nothing anew.
CHECKPOINTS = "SEGLIB_CHECKPOINTS"
LOADER_THREADS = "SEGLIB_LOADER_THREADS"  # of the training; it is as with CHECKPOINTS
KEPT = "checkpoints"  # of a training's origin: where its outcome lies until it is used
FELL_OUT = "fell_out"  # of a trial's origin: why there is no model
IMAGE_NAME = "SEGLIB_IMAGE"
TASK_RUN = "MLFLOW_RUN_ID"  # of the run that KFP's own MLflow plugin makes for a task
PROVENANCE = "provenance.json"
_OURS = ("components", "pipeline", "seglib")
_FOLLOWED_S, _PRINTED_S = 0.2, 10.0  # between two reports of a step's progress

Origin = dict[str, Any]  # of one step's output: run_id, folder, finished, duration_s …


class Artifact(Protocol):
    """The part of a KFP artifact that is used here."""

    path: str
    uri: str


class Step:
    """What the body of a component sees of its own execution."""

    def __init__(
        self, name: str, lineage: Mapping[str, Origin], trial: Mapping[str, Any]
    ):
        self.name = name
        self.lineage = dict(lineage)  # of its inputs, and its own
        self._trial = dict(trial)
        self._next = 0.0

    def progress(self, done: int, total: int) -> None:
        """Tell how far the step is; called as often as it likes."""
        if time.monotonic() >= self._next or done == total:
            pause = _FOLLOWED_S if MESSAGES in os.environ else _PRINTED_S
            self._next = time.monotonic() + pause
            self.send("progress", done=done, total=total)

    def say(self, text: str) -> None:
        """Print a line."""
        logger.info("%s", text)

    def epoch(self, row: Mapping[str, float]) -> None:
        """Tell the outcome of an epoch: a point on each of the run's curves."""
        self.send("epoch", row=dict(row))

    @property
    def is_trial(self) -> bool:
        """Whether others are tried beside it, which go on if it cannot."""
        return bool(self._trial)

    @property
    def has_fallen_out(self) -> bool:
        return FELL_OUT in self.lineage[self.name]

    def fall_out(self, reason: str, *, for_good: bool) -> None:
        """Tell that this trial gives no model; its output says why.

        Args:
            for_good: it would fall out each time that it is tried.
        """
        origin = self.lineage[self.name]
        origin[FELL_OUT] = reason
        folder = origin["folder"]
        self.send("fell_out", reason=reason, for_good=for_good, folder=folder)

    def load(self, number: int, values: Mapping[str, float]) -> None:
        """Tell a sample of the machine's load."""
        self.send("load", number=number, values=dict(values))

    def send(self, kind: str, **content: Any) -> None:
        """Tell something of this step, and of which trial of a sweep it is."""
        trial = {"trial": self._trial} if self._trial else {}
        send(kind, step=self.name, **trial, **content)


@contextmanager
def step(
    name: str,
    *,
    out: Artifact,
    inputs: Sequence[Artifact] = (),
    watched: bool = False,
    trial: Mapping[str, Any] | None = None,
) -> Iterator[Step]:
    """Run a component's body, and write down where its output is from.

    `out` gets a provenance.json with the origin of every step that led to it, itself
    included: a later run that takes the output from the cache can tell by that file
    which run made it, and when.

    Args:
        watched: tell the load of the machine while the body runs.
        trial: of a sweep: the settings in which this step differs from its likes.

    Raises:
        SystemExit: the step ended in a problem that its reader can solve; the
            message has been told, and a traceback would only hide it.
    """
    from seglib.errors import SegError, disk_problem
    from seglib.runtime.system_metrics import watching

    started = time.time()
    origin: Origin = {"run_id": run_id(), "folder": out.uri}
    if trial:
        origin["trial"] = dict(trial)
    before = _lineage(inputs)
    current = Step(name, {**before, name: origin}, trial or {})
    left = "" if trial else name  # on the remote, the next trial would write over it
    try:
        _begin(inputs)
        current.send("started", lineage=current.lineage)
        _require()
        with _plain_log_lines(), watching(current.load, on=watched):
            yield current
        origin["finished"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        origin["duration_s"] = round(time.time() - started, 3)
        _write_lineage(Path(out.path), current.lineage)
        current.send("finished", lineage=current.lineage)
        flush(left, Path(out.path))
    except Exception as error:
        told = error if isinstance(error, SegError) else disk_problem(error)
        text = str(told or f"{type(error).__name__}: {error}")
        try:
            current.send("failed", message=without_login(text), lineage=before)
            flush(left, Path(out.path))
        except (SegError, OSError):  # of the tracking, or of a full disk
            logger.error("%s", text)
        if told:
            raise SystemExit(1) from error
        raise


def config(arguments: Mapping[str, Any]) -> Any:
    """The configuration among a component's arguments, which are its `locals()`.

    Returns:
        seglib.config.Config; what the component has no parameter for is the default.

    Raises:
        UsageError: a value that cannot be.
    """
    from seglib.config import Config

    names = Config().flat().keys() & arguments.keys()
    return Config.from_flat({name: arguments[name] for name in names})


def send(kind: str, **content: Any) -> None:
    """Tell the run's follower, or else the tracking server; returns at once."""
    message = {"kind": kind, "run": run_id(), "time_ms": now_ms(), **content}
    messages = os.environ.get(MESSAGES)
    if messages:
        append(Path(messages), message)
        return
    if kind == "progress":
        logger.info("%(step)s: %(done)d of %(total)d", content)
    elif kind in ("fell_out", "failed"):  # an epoch's line comes from the training
        shown = (f"{k} {v}" for k, v in content.items() if k != "lineage")
        logger.info("%s: %s", kind, ", ".join(shown))
    from seglib.tracking import pod

    if task_run := os.environ.get(TASK_RUN):
        message["adopted"] = task_run
    pod.deliver(message)


def append(messages: Path, message: Mapping[str, Any]) -> None:
    """Add a message to a file that is followed."""
    line = json.dumps(message, default=str) + "\n"
    # One write on O_APPEND: lines of parallel steps don't mix.
    file = os.open(messages, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, line.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(messages)) from error
    finally:
        os.close(file)


def flush(step: str, folder: Path) -> None:
    """Where this process does the tracking: wait a while for what is still to be sent.

    Args:
        step: under whose name the rest is left for the exit task; empty: it is not.
        folder: the step's output, which keeps what could not be sent.
    """
    if MESSAGES not in os.environ:
        from seglib.tracking import pod

        pod.leave(run_id(), step, folder)


@contextmanager
def closing() -> Iterator[None]:
    """For the exit task: send what the steps could not, the body's, and wait for it."""
    if MESSAGES in os.environ:
        yield
        return
    from seglib.tracking import pod
    from seglib.tracking.remote_outbox import LAST

    with pod.taking_over_all(run_id()):
        yield
        pod.leave(run_id(), LAST)


def now_ms() -> int:
    """The time in MLflow's unit: since 1970, in milliseconds."""
    return time.time_ns() // 1_000_000


def run_id() -> str:
    """The pipeline run that this process belongs to; empty outside of one."""
    return os.environ.get(RUN_ID, "")


def source_tags() -> dict[str, str]:
    """The commit and the image of this process, where no runner tells them better."""
    if MESSAGES in os.environ:
        return {}
    known = {
        "git_commit": os.environ.get("GIT_COMMIT", ""),
        "image": os.environ.get(IMAGE_NAME, ""),
    }
    return {name: value for name, value in known.items() if value}


def read_lineage(folder: Path) -> dict[str, Origin]:
    """The origin of every step that led to an artifact; empty where none is known."""
    try:
        lineage: dict[str, Origin] = json.loads((folder / PROVENANCE).read_text())
    except (OSError, ValueError):
        return {}
    return lineage


def _begin(inputs: Sequence[Artifact]) -> None:
    if MESSAGES not in os.environ:
        from seglib.tracking import pod

        pod.take_over(Path(artifact.path) for artifact in inputs)


def _require() -> None:
    if MESSAGES not in os.environ:
        from seglib.tracking import pod

        pod.require()


def _lineage(inputs: Sequence[Artifact]) -> dict[str, Origin]:
    merged: dict[str, Origin] = {}
    for artifact in inputs:
        merged.update(read_lineage(Path(artifact.path)))
    return merged


def _write_lineage(folder: Path, lineage: Mapping[str, Origin]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PROVENANCE).write_text(json.dumps(lineage, indent=1) + "\n")


@contextmanager
def _plain_log_lines() -> Iterator[None]:
    """Drop KFP's prefix from what the step logs, and what libraries say by the way."""
    handlers = [(handler, handler.formatter) for handler in logging.root.handlers]
    for handler, _ in handlers:
        handler.setFormatter(VisibleFormatter("%(message)s"))
        handler.addFilter(_is_worth_a_line)
    try:
        yield
    finally:
        for handler, formatter in handlers:
            handler.setFormatter(formatter)
            handler.removeFilter(_is_worth_a_line)


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Such as botocore's on where it found credentials are not."""
    return record.levelno >= logging.WARNING or record.name.startswith(_OURS)
