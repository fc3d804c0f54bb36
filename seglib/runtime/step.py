"""One execution of a step: its events, and the provenance of its output."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from seglib.errors import SegError, disk_problem
from seglib.plain_text import VisibleFormatter, without_login
from seglib.runtime.events import EventFile, is_followed, run_id
from seglib.runtime.provenance import (
    FAILURE_REASON,
    Origin,
    merged_lineage,
    write_lineage,
)
from seglib.runtime.system_metrics import watching

logger = logging.getLogger(__name__)

_OURS = ("components", "pipeline", "seglib")
_FOLLOWED_S, _PRINTED_S = 0.2, 10.0  # between two reports of a step's progress


class Artifact(Protocol):
    """The part of a KFP artifact that is used here."""

    path: str
    uri: str


class Step:
    """A step that runs: what its task tells of it.

    Args:
        lineage: the origins of its inputs and its own.
        trial: of a sweep: the settings in which this step differs from the others.
    """

    def __init__(
        self,
        name: str,
        *,
        events: EventFile,
        lineage: Mapping[str, Origin],
        trial: Mapping[str, Any] | None = None,
    ):
        self.name = name
        self.lineage = dict(lineage)
        self._events = events
        self._trial = dict(trial or {})
        self._next = 0.0

    def progress(self, done: int, total: int) -> None:
        """Tell how far the step is; called as often as it likes."""
        if time.monotonic() >= self._next or done == total:
            pause = _FOLLOWED_S if is_followed() else _PRINTED_S
            self._next = time.monotonic() + pause
            if is_followed():
                self.send("progress", done=done, total=total)
            else:
                logger.info("%s: %d of %d", self.name, done, total)

    def say(self, text: str) -> None:
        """Print a line."""
        logger.info("%s", text)

    def epoch(self, row: Mapping[str, float]) -> None:
        """Tell the outcome of an epoch: a point on each of the run's curves."""
        self.send("epoch", row=dict(row))

    @property
    def origin(self) -> Origin:
        """The origin of this step's output."""
        return self.lineage[self.name]

    @property
    def is_trial(self) -> bool:
        """Whether it is one trial of several: the others go on if this one fails."""
        return bool(self._trial)

    @property
    def is_failed_trial(self) -> bool:
        """Whether this trial gives no model."""
        return FAILURE_REASON in self.origin

    def fail_trial(self, reason: str, *, for_good: bool) -> None:
        """Tell that this trial gives no model; its output says why.

        Args:
            for_good: it would fail each time that it is tried.
        """
        self.origin[FAILURE_REASON] = reason
        folder = self.origin["folder"]
        self._print("failed trial", reason)
        self.send("fell_out", reason=reason, for_good=for_good, folder=folder)

    def fail(self, message: str, lineage: Mapping[str, Origin]) -> None:
        """Tell that the step failed.

        Args:
            lineage: the origins of its inputs.
        """
        self._print("failed", f"{self.name}: {message}")
        self.send("failed", message=message, lineage=lineage)

    def load(self, number: int, values: Mapping[str, float]) -> None:
        """Tell a sample of the machine's load."""
        self.send("load", number=number, values=dict(values))

    def send(self, kind: str, **content: Any) -> None:
        """Append an event of this step, with the trial of the sweep that it is."""
        trial = {"trial": self._trial} if self._trial else {}
        self._events.append(kind, step=self.name, **trial, **content)

    def _print(self, what: str, text: str) -> None:
        if not is_followed():
            logger.info("%s: %s", what, text)


@contextmanager
def step(
    name: str,
    *,
    out: Artifact,
    events: EventFile,
    inputs: Sequence[Artifact] = (),
    watched: bool = False,
    trial: Mapping[str, Any] | None = None,
) -> Iterator[Step]:
    """Run a step's body, tell its start and its end, and write its provenance.

    Args:
        out: gets the provenance.json.
        events: gets the events.
        watched: tell the load of the machine while the body runs.
        trial: of a sweep: the settings in which this step differs from the others.

    Raises:
        SystemExit: the step ended in a problem that its reader can solve; the
            message has been told, and a traceback would only hide it.
    """
    started = time.time()
    origin: Origin = {"run_id": run_id(), "folder": out.uri}
    if trial:
        origin["trial"] = dict(trial)
    before = merged_lineage(Path(artifact.path) for artifact in inputs)
    lineage = {**before, name: origin}
    current = Step(name, events=events, lineage=lineage, trial=trial)
    try:
        current.send("started", lineage=current.lineage)
        with _plain_log_lines(), watching(current.load, on=watched):
            yield current
        origin["finished"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        origin["duration_s"] = round(time.time() - started, 3)
        write_lineage(Path(out.path), current.lineage)
        current.send("finished", lineage=current.lineage)
    except Exception as error:
        told = error if isinstance(error, SegError) else disk_problem(error)
        text = str(told or f"{type(error).__name__}: {error}")
        try:
            current.fail(without_login(text), before)
        except OSError:  # of a full disk
            logger.error("%s", text)
        if told:
            raise SystemExit(1) from error
        raise


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
