"""How messages get to the tracking store: in order, and for as long as it takes.

A `Delivery` has a thread of its own, so that a store that is away, slow or failing
never holds up what it is told of. What it could not deliver in time is left to its
owner, who keeps it (seglib/tracking/outbox.py) and delivers it later: whatever is
applied twice changes nothing the second time.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from seglib.errors import in_a_line
from seglib.tracking.mlflow_client import knock
from seglib.tracking.mlflow_errors import explained

if TYPE_CHECKING:
    from seglib.tracking.recording import Part
    from seglib.tracking.run import Row

logger = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _HURRIED_PAUSE_S = 0.5, 15.0, 0.3
_PATIENCE = 5  # failures in a row before a part is set aside, if the store answers
_FIRST_ANSWER_S = 60.0  # to import MLflow, set up a store, and hear of it
# In vain, and the store is taken to be away; one that has never answered, at once.
_HURRIED_ATTEMPTS, _FIRST_ATTEMPTS = 3, 1
_NOT_NOW = (401, 403, 408, 425, 429)  # of HTTP's 4xx, those that may pass later
_LONGEST_REASON = 200  # characters
# Errors of the message or of its files: they would be the same next time.
_LOCAL = (LookupError, ValueError, TypeError, AttributeError, FileNotFoundError)

Message = Mapping[str, Any]


class Unreachable(Exception):  # noqa: N818 (it says where the work stands)
    """A part of a message could not be tracked now, but may be later."""

    def __init__(self, index: int, part: str, reason: str):
        super().__init__(f"{part}: {reason}")
        self.index = index
        self.part = part
        self.reason = reason


class Tracker:
    """Applies messages to the rows of one tracking store."""

    def __init__(
        self, uri: str, *, warn: Callable[[str], None] = logger.warning
    ) -> None:
        self.uri = uri
        self.rows: dict[str, Row] = {}
        self.refused: list[Message] = []  # with `refused`, the reason
        self._warn = warn
        self._is_in_doubt = True  # whether the store answers at all

    def apply(self, message: Message, *, first: int = 0) -> None:
        """Track one message.

        Args:
            first: index of the first part to track; those before it are done.

        Raises:
            Unreachable: the store is away or failing. What it refuses for good, or
                what has no files, is a warning and goes to `refused`.
        """
        for index, part in list(enumerate(parts_of(message)))[first:]:
            what = part.__name__.removeprefix("record_")
            try:
                if self._is_in_doubt:
                    knock(self.uri)
                row = self._row(message)
            except Exception as error:
                self._is_in_doubt = True
                reason = explained(error, self.uri)
                raise Unreachable(index, what, reason) from error
            try:
                part(row, message)
            except Exception as error:
                if not _is_final(error):
                    self._is_in_doubt = True
                    reason = explained(error, self.uri)
                    raise Unreachable(index, what, reason) from error
                self._refuse(message, part, in_a_line(error, longest=_LONGEST_REASON))
            self._is_in_doubt = False

    def answers(self, message: Message) -> bool:
        """Whether the store answers a plain question about a message's row."""
        row = self.rows.get(message["run"])
        for _ in range(2):  # the failure may have cost the first its connection
            with suppress(Exception):
                return row is not None and row.exists()
        return False

    def _row(self, message: Message) -> "Row":
        from seglib.tracking.run import Row

        run, time_ms = message["run"], int(message["time_ms"])
        if run not in self.rows:
            adopted = message.get("adopted", "")
            self.rows[run] = Row(
                self.uri, run, time_ms=time_ms, adopted=adopted, warn=self._warn
            )
        self.rows[run].time_ms = time_ms
        return self.rows[run]

    def _refuse(self, message: Message, part: "Part", reason: str) -> None:
        what = part.__name__.removeprefix("record_")
        self._warn(f"not tracked: {what} ({reason})")
        self.refused.append({**only(message, part), "refused": reason})


class Delivery:
    """Sends messages in their order from a thread of its own, with back-off."""

    def __init__(
        self, tracker: Tracker, *, warn: Callable[[str], None] = logger.warning
    ) -> None:
        self.tracker = tracker
        self.delivered = 0
        self.reason = ""  # why the store took nothing when it was last asked
        self._warn = warn
        self._queue: deque[Message] = deque()
        self._aside: list[Message] = []
        self._changed = threading.Condition()
        self._part = 0  # of the first message: those before it are done
        self._failures = 0  # in a row
        self._answered = False  # something was tracked at all
        self._hurried = self._closed = False
        self._vain = 0  # failures in a row while hurried
        # A daemon: a store that doesn't answer must not keep the process alive.
        threading.Thread(target=self._work, name="tracking", daemon=True).start()

    def put(self, message: Message) -> None:
        """Send a message when its turn comes; returns at once."""
        if parts_of(message):
            with self._changed:
                self._queue.append(message)
                self._changed.notify_all()

    def flush(
        self, *, longest_s: float, failing_s: float, is_last: bool = False
    ) -> bool:
        """Wait until all is sent.

        Args:
            longest_s: the longest wait while the store takes messages.
            failing_s: the longest wait while it fails. One that fails at once is
                given up earlier: the wait doesn't grow with what is to be sent.
            is_last: nobody will send the rest: not given up earlier.

        Returns:
            Whether all was sent; if not, `reason` says why.
        """
        started = time.monotonic()
        with self._changed:
            self._hurried, self._vain, is_again = True, 0, False
            while self._queue or (self._aside and not is_again):
                if not self._queue:
                    # Once more: the store may have come back since they failed.
                    self._queue.extend(self._aside)
                    self._aside.clear()
                    is_again = True
                self._changed.notify_all()
                longest = longest_s if self._answered else _FIRST_ANSWER_S
                bound = failing_s if self._failures else longest
                if time.monotonic() - started > bound:
                    self.reason = self.reason or f"No answer of MLflow in {bound:g} s."
                    break
                attempts = _HURRIED_ATTEMPTS if self._answered else _FIRST_ATTEMPTS
                if self._vain >= attempts and not is_last:
                    break
                self._changed.wait(0.1)
            self._hurried = False
            return not (self._queue or self._aside)

    def remaining(self) -> list[Message]:
        """What has not been sent, in its order."""
        with self._changed:
            return [*self._queue, *self._aside]

    def close(self) -> list[Message]:
        """Send nothing more, save what is on its way.

        Returns:
            What has not been sent, in its order: another may send it from now on.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            return [*self._queue, *self._aside]

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    return
                message, first = self._queue[0], self._part
            try:
                self.tracker.apply(message, first=first)
            except Unreachable as error:
                self._failed(message, error)
            else:
                self._succeeded()

    def _succeeded(self) -> None:
        with self._changed:
            self._queue.popleft()
            self.delivered += 1
            self._part = 0
            self._recover()
            self._changed.notify_all()

    def _failed(self, message: Message, error: Unreachable) -> None:
        if error.index > self._part:
            self._recover()  # it took the parts before this one
        from seglib.tracking.recording import SEPARABLE

        self._part, self.reason = error.index, error.reason
        self._failures += 1
        self._vain += self._hurried
        if self._failures == 2:  # a single one is common, and nobody's concern
            self._warn(f"tracking waits ({error})")
        patience = _PATIENCE if not self._hurried else _HURRIED_ATTEMPTS - 1
        part = parts_of(message)[error.index]
        if (
            self._failures >= patience
            and part in SEPARABLE
            and self.tracker.answers(message)
        ):
            self._set_aside(message, error)
        else:
            self._pause()

    def _set_aside(self, message: Message, error: Unreachable) -> None:
        """Go on without a part that fails while the store does answer."""
        parts = parts_of(message)
        with self._changed:
            self._aside.append(only(message, parts[error.index]))
            self._part += 1
            if self._part == len(parts):
                self._queue.popleft()
                self._part = 0
            self._failures = self._vain = 0
            self._changed.notify_all()

    def _recover(self) -> None:
        if self._failures > 1:
            self._warn("tracking goes on")
        self._failures = self._vain = 0
        self._answered = True

    def _pause(self) -> None:
        pause = min(_FIRST_PAUSE_S * 2 ** (self._failures - 1), _LONGEST_PAUSE_S)
        with self._changed:
            self._changed.notify_all()
            if not self._hurried:
                self._changed.wait_for(lambda: self._hurried or self._closed, pause)
            else:
                self._changed.wait_for(lambda: not self._hurried, _HURRIED_PAUSE_S)


def parts_of(message: Message) -> "tuple[Part, ...]":
    """What a message puts into the row: all of its kind's parts, or those it names."""
    from seglib.tracking.recording import PARTS

    parts = PARTS.get(message["kind"], ())
    named = message.get("parts")
    return tuple(p for p in parts if named is None or p.__name__ in named)


def only(message: Message, part: "Part") -> dict[str, Any]:
    """The message with a single one of its parts."""
    return {**message, "parts": [part.__name__]}


def _is_final(error: Exception) -> bool:
    """Whether trying again is no use: the store refuses, or the files are not there."""
    status = _http_status(error)
    if status is not None:
        return 400 <= status < 500 and status not in _NOT_NOW
    away = isinstance(error, OSError) and not isinstance(error, FileNotFoundError)
    return isinstance(error, _LOCAL) and not away


def _http_status(error: Exception) -> int | None:
    """The HTTP status that MLflow or requests gave an error."""
    if hasattr(error, "get_http_status_code"):
        return int(error.get_http_status_code())
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    return status if isinstance(status, int) else None
