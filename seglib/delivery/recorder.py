"""Applies events to the MLflow runs of one store.

An event consists of parts (seglib/delivery/recording.py); each is applied on its own.
A part that is applied twice changes nothing the second time.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from seglib.delivery.recording import PARTS, Part
from seglib.errors import in_a_line
from seglib.runtime.events import Event
from seglib.tracking.mlflow_client import explained, health_check
from seglib.tracking.tracked_run import TrackedRun

logger = logging.getLogger(__name__)

_NOT_NOW = (401, 403, 408, 425, 429)  # of HTTP's 4xx, those that may pass later
_LONGEST_REASON = 200  # characters
# Errors of the event or of its files: they would be the same next time.
_LOCAL = (LookupError, ValueError, TypeError, AttributeError, FileNotFoundError)


class Unreachable(Exception):  # noqa: N818 (it says where the work stands)
    """A part of an event could not be applied now, but may be later."""

    def __init__(self, part: Part, reason: str):
        super().__init__(f"{_name_of(part)}: {reason}")
        self.reason = reason


class Recorder:
    """The MLflow runs of one store, and what is applied to them.

    Attributes:
        runs: by the names of their pipeline runs.
        refused: events of which the store refused something for good, each with the
            reasons, `refused`.
    """

    def __init__(
        self, uri: str, *, warn: Callable[[str], None] = logger.warning
    ) -> None:
        self.uri = uri
        self.runs: dict[str, TrackedRun] = {}
        self.refused: list[dict[str, Any]] = []
        self._warn = warn
        self._is_in_doubt = True  # whether the store answers at all

    def apply(self, event: Event) -> None:
        """Apply all parts of an event; see `apply_part`."""
        for part in PARTS.get(event["kind"], ()):
            self.apply_part(part, event)

    def apply_part(self, part: Part, event: Event) -> None:
        """Apply one part of an event.

        What the store refuses for good, or what has no files, goes to `refused`.

        Raises:
            Unreachable: the store is away or failing.
        """
        run = None
        try:
            if self._is_in_doubt:
                health_check(self.uri)
            run = self._run(event)
            part(run, event)
        except Exception as error:
            if run is None or not _is_final(error):
                self._is_in_doubt = True
                raise Unreachable(part, explained(error, self.uri)) from error
            reason = in_a_line(error, longest=_LONGEST_REASON)
            self._warn(f"not tracked: {_name_of(part)} ({reason})")
            self._refuse(event, f"{_name_of(part)}: {reason}")
        self._is_in_doubt = False

    def answers(self, event: Event) -> bool:
        """Whether the store answers a plain question about an event's run."""
        for _ in range(2):  # the failure may have cost the first its connection
            with suppress(Exception):
                return bool(self.runs[event["run"]].tags())
        return False

    def _refuse(self, event: Event, reason: str) -> None:
        """Keep an event once, whatever of it is refused."""
        newest = dict(self.refused[-1]) if self.refused else {}
        reasons = newest.pop("refused", "")
        if newest == event:
            self.refused[-1]["refused"] = f"{reasons}; {reason}"
        else:
            self.refused.append({**event, "refused": reason})

    def _run(self, event: Event) -> TrackedRun:
        name, time_ms = event["run"], int(event["time_ms"])
        if name not in self.runs:
            told = {k: event.get(k, "") for k in ("title", "experiment", "adopted")}
            self.runs[name] = TrackedRun(self.uri, name, time_ms=time_ms, **told)
        self.runs[name].time_ms = time_ms
        return self.runs[name]


def _name_of(part: Part) -> str:
    """What people call a part: curves for record_curves."""
    return part.__name__.removeprefix("record_")


def _is_final(error: Exception) -> bool:
    """Whether trying again is no use: the store refuses, or the files are not there."""
    response = getattr(error, "response", None)  # of requests
    status = getattr(response, "status_code", None)
    if hasattr(error, "get_http_status_code"):  # of MLflow
        status = int(error.get_http_status_code())
    if isinstance(status, int):
        return 400 <= status < 500 and status not in _NOT_NOW
    away = isinstance(error, OSError) and not isinstance(error, FileNotFoundError)
    return isinstance(error, _LOCAL) and not away
