"""The one sender: takes events in their order to MLflow, for as long as it takes.

It has a thread of its own, so that a store that is away, slow or failing never holds up
a step. What it could not send in time goes to an outbox (seglib/delivery/outbox.py) and
is sent later: an event that is applied twice changes nothing the second time.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from seglib.delivery.recorder import Recorder, Unreachable
from seglib.delivery.recording import PARTS, SEPARABLE, Part
from seglib.runtime.events import Event, EventReader

logger = logging.getLogger(__name__)

_POLL_S = 0.1  # between two looks at the file that is followed
_FIRST_PAUSE_S, _LONGEST_PAUSE_S, _HURRIED_PAUSE_S = 0.5, 15.0, 0.3
_PATIENCE = 5  # failures in a row before a part is set aside, if the store answers
_FIRST_ANSWER_S = 60.0  # to import MLflow, set up a store, and hear of it
# Attempts of a flush before the store is taken to be away; one that has never answered
# is given up at once.
_HURRIED_ATTEMPTS, _FIRST_ATTEMPTS = 3, 1

Unit = tuple[Event, Part]  # what is sent at a time


class Sender:
    """Sends events in their order from a thread of its own, with back-off.

    Attributes:
        recorder: what applies them.
        reason: why the store took nothing when it was last asked.
    """

    def __init__(
        self, uri: str, *, warn: Callable[[str], None] = logger.warning
    ) -> None:
        # A request that MLflow repeats after a timeout could make a second run; the
        # sender tries again, and looks first what is there.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        self.recorder = Recorder(uri, warn=warn)
        self.reason = ""
        self._warn = warn
        self._queue: deque[Unit] = deque()
        self._aside: list[Unit] = []
        self._followed: list[EventReader] = []
        self._changed = threading.Condition()
        self._failures = 0  # in a row
        self._answered = False  # something was applied at all
        self._hurried = self._closed = False
        self._hurried_failures = 0
        # A daemon: a store that does not answer must not keep the process alive.
        threading.Thread(target=self._work, name="tracking", daemon=True).start()

    def put(self, events: Iterable[Event]) -> None:
        """Send events when their turn comes; returns at once."""
        units = list(_units(events))  # they may come from afar
        with self._changed:
            self._queue.extend(units)
            self._changed.notify_all()

    def follow(self, path: Path) -> None:
        """Send, from now on, the events of a file as they are appended."""
        with self._changed:
            self._followed.append(EventReader(path))
            self._changed.notify_all()

    def flush(
        self, *, longest_s: float, failing_s: float, is_last: bool = False
    ) -> bool:
        """Wait until all is sent.

        Args:
            longest_s: the longest wait while the store takes events.
            failing_s: the longest wait while it fails. One that fails at once is
                given up earlier: the wait does not grow with what is to be sent.
            is_last: nobody will send the rest: not given up earlier.

        Returns:
            Whether all was sent; if not, `reason` says why.
        """
        started = time.monotonic()
        with self._changed:
            self._read_followed()
            self._hurried, self._hurried_failures, is_again = True, 0, False
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
                if self._hurried_failures >= attempts and not is_last:
                    break
                self._changed.wait(0.1)
            self._hurried = False
            return not (self._queue or self._aside)

    def unsent(self) -> list[Event]:
        """The events that have not been sent, or not whole, in their order."""
        with self._changed:
            self._read_followed()
            left = [event for event, _ in (*self._queue, *self._aside)]
            return list({id(event): event for event in left}.values())

    def close(self) -> list[Event]:
        """Send nothing more, save what is on its way; gives the unsent events."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        return self.unsent()

    def _read_followed(self) -> None:
        for reader in self._followed:
            self._queue.extend(_units(reader.read()))

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._queue or self._closed):
                    self._changed.wait(_POLL_S if self._followed else None)
                    self._read_followed()
                if self._closed:
                    return
                event, part = self._queue[0]
            try:
                self.recorder.apply_part(part, event)
            except Unreachable as error:
                self._failed(event, part, error)
            else:
                self._succeeded()

    def _succeeded(self) -> None:
        with self._changed:
            self._queue.popleft()
            if self._failures > 1:
                self._warn("tracking goes on")
            self._failures = self._hurried_failures = 0
            self._answered = True
            self._changed.notify_all()

    def _failed(self, event: Event, part: Part, error: Unreachable) -> None:
        self.reason = error.reason
        self._failures += 1
        self._hurried_failures += self._hurried
        if self._failures == 2:  # a single one is common, and nobody's concern
            self._warn(f"tracking waits ({error})")
        patience = _PATIENCE if not self._hurried else _HURRIED_ATTEMPTS - 1
        is_patient = self._failures < patience or part not in SEPARABLE
        if is_patient or not self.recorder.answers(event):
            self._pause()
            return
        with self._changed:  # go on without a part that alone fails
            self._aside.append(self._queue.popleft())
            self._failures = self._hurried_failures = 0
            self._changed.notify_all()

    def _pause(self) -> None:
        pause = min(_FIRST_PAUSE_S * 2 ** (self._failures - 1), _LONGEST_PAUSE_S)
        with self._changed:
            self._changed.notify_all()
            if not self._hurried:
                self._changed.wait_for(lambda: self._hurried or self._closed, pause)
            else:
                self._changed.wait_for(lambda: not self._hurried, _HURRIED_PAUSE_S)


def _units(events: Iterable[Event]) -> Iterator[Unit]:
    return ((event, part) for event in events for part in PARTS.get(event["kind"], ()))
