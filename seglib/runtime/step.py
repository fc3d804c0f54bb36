"""A step while it runs: its events, and the provenance of its output."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from seglib.plain_text import VisibleFormatter
from seglib.runtime.events import is_followed, run_id, tell
from seglib.runtime.provenance import FAILURE_REASON, Origin, write_lineage

logger = logging.getLogger(__name__)

_OURS = ("components", "pipeline", "seglib")
_FOLLOWED_S, _PRINTED_S = 0.2, 10.0  # between two reports of a step's progress


class Artifact(Protocol):
    """The part of a KFP artifact that is used here."""

    path: str
    uri: str


class RunningStep:
    """A step that runs: what its task tells of it.

    Args:
        uri: of its output.
        events: the file that gets its events; None: nobody reads them.
        inputs: the origins of its inputs.
        trial: of a sweep: the settings in which this step differs from the others.

    Attributes:
        origin: of its output.
        lineage: the origins of its inputs and its own.
    """

    def __init__(
        self,
        name: str,
        *,
        uri: str,
        events: Path | None,
        inputs: Mapping[str, Origin] | None = None,
        trial: Mapping[str, Any] | None = None,
    ):
        self.name = name
        self._events = events
        self._inputs = dict(inputs or {})
        self._trial = {"trial": dict(trial)} if trial else {}
        self._started, self._next = time.time(), 0.0
        self.origin: Origin = {"run_id": run_id(), "folder": uri, **self._trial}
        self.lineage = {**self._inputs, name: self.origin}

    def send(self, kind: str, **content: Any) -> None:
        """Append an event of this step, with the trial of the sweep that it is."""
        tell(self._events, kind, step=self.name, **self._trial, **content)

    def finish(self, folder: Path) -> None:
        """Write the provenance of the output, and tell that the step has ended."""
        now = time.time()
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
        self.origin["finished"] = moment
        self.origin["duration_s"] = round(now - self._started, 3)
        write_lineage(folder, self.lineage)
        self.send("finished", lineage=self.lineage)

    def fail(self, message: str) -> None:
        """Tell that the step failed."""
        self._print("failed", f"{self.name}: {message}")
        self.send("failed", message=message, lineage=self._inputs)

    def progress(self, done: int, total: int) -> None:
        """Tell how far the step is; called as often as it likes."""
        if time.monotonic() < self._next and done < total:
            return
        if is_followed():
            self._next = time.monotonic() + _FOLLOWED_S
            self.send("progress", done=done, total=total)
        else:
            self._next = time.monotonic() + _PRINTED_S
            logger.info("%s: %d of %d", self.name, done, total)

    def epoch(self, row: Mapping[str, float]) -> None:
        """Tell the outcome of an epoch: a point on each of the run's curves."""
        self.send("epoch", row=dict(row))

    def load(self, number: int, values: Mapping[str, float]) -> None:
        """Tell a sample of the machine's load."""
        self.send("load", number=number, values=dict(values))

    @property
    def is_trial(self) -> bool:
        """Whether it is one trial of several: the others go on if this one fails."""
        return bool(self._trial)

    def fail_trial(self, reason: str, *, for_good: bool) -> None:
        """Tell that this trial gives no model; its output says why.

        Args:
            for_good: it would fail each time that it is tried.
        """
        self.origin[FAILURE_REASON] = reason
        folder = self.origin["folder"]
        self._print("failed trial", reason)
        self.send("fell_out", reason=reason, for_good=for_good, folder=folder)

    def _print(self, what: str, text: str) -> None:
        if not is_followed():
            logger.info("%s: %s", what, text)


@contextmanager
def plain_log_lines() -> Iterator[None]:
    """Within it, log lines have no prefix of KFP's, and libraries only warn."""
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
