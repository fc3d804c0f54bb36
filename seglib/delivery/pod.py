"""Sends the events of a step from its own process, where no other follows them.

The store is MLFLOW_TRACKING_URI; without it nothing is tracked. What cannot be sent by
the step's end goes along with its output, and a step that takes the output sends it
first; a copy goes to a remote, if there is one, and the exit task sends that last
(seglib/delivery/remote_outbox.py). With SEGLIB_TRACKING=required, a step fails instead.
"""

import atexit
import functools
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from seglib.delivery import remote_outbox
from seglib.delivery.outbox import EVENT_FILE, UNSENT_FILE
from seglib.delivery.sender import Sender
from seglib.distributed.process_group import Terminated
from seglib.environment import EVENTS, TRACKING, TRACKING_URI
from seglib.errors import SegError
from seglib.runtime.events import (
    Event,
    EventFile,
    is_followed,
    read_events,
    run_id,
    write_events,
)
from seglib.tracking.mlflow_address import tracking_uri

logger = logging.getLogger(__name__)

_LONGEST_S, _FAILING_S = 120.0, 20.0  # wait at the end of a step
_LAST_LONGEST_S, _LAST_FAILING_S = 600.0, 30.0  # of the exit task: nothing follows it


class Outgoing:
    """The events of this process, and the sender that follows them.

    Attributes:
        events: the file to append to.
        sender: None: another process follows the file, or there is no store.
    """

    def __init__(self, events: EventFile, sender: Sender | None = None):
        self.events = events
        self.sender = sender

    def require(self) -> None:
        """Where tracking is required, wait until all so far is sent.

        Raises:
            SegError: it is required, and no store is named or it takes nothing.
        """
        if is_followed() or not _is_required():
            return
        if not self.sender:
            raise SegError(f"{TRACKING}=required, but {TRACKING_URI} names no store.")
        if not self.sender.flush(longest_s=_LONGEST_S, failing_s=_FAILING_S):
            raise SegError(
                f"{self.sender.recorder.uri} takes no events, and {TRACKING}=required "
                f"({self.sender.reason or 'no answer yet'}). Start the server, or "
                f"unset {TRACKING}: then events wait until it is back."
            )


@contextmanager
def sending(step: str, *, out: Path, inputs: Iterable[Path]) -> Iterator[Outgoing]:
    """Send the events of a step while its body runs, those of its inputs first.

    Args:
        step: its name on the remote; empty: the rest is not left there.
        out: the step's output, which keeps what could not be sent.
        inputs: outputs of earlier steps.

    Raises:
        SystemExit: tracking is required, and something is left.
    """
    outgoing = _outgoing()
    sender = outgoing.sender
    if sender:
        sender.put(e for folder in inputs for e in read_events(folder / UNSENT_FILE))
    try:
        yield outgoing
    except (Exception, SystemExit) as error:
        # After SIGTERM there is no time, and the next attempt tells all of it again.
        if sender and not isinstance(error, Terminated):
            with _as_warning():
                _finish(sender, step, out)
        raise
    if sender:
        _check(_finish(sender, step, out))


@contextmanager
def closing() -> Iterator[EventFile]:
    """Send the events of the exit task, those that the steps left on the remote first.

    Raises:
        SystemExit: tracking is required, and something is left.
    """
    outgoing, place = _outgoing(), remote_outbox.place_of(run_id())
    sender, all_brought = outgoing.sender, False
    with tempfile.TemporaryDirectory() as folder:
        if sender and place:
            with _as_warning():
                sender.put(remote_outbox.bring(place, Path(folder)))
                all_brought = True
        yield outgoing.events
        if sender:
            left = _finish_last(sender, place)
            if all_brought and not left:
                with _as_warning():
                    remote_outbox.forget(place)
            _check(left)


def _finish(sender: Sender, step: str, out: Path) -> int:
    """Send what can be sent at a step's end, and keep the rest; gives its count."""
    sender.flush(longest_s=_LONGEST_S, failing_s=_FAILING_S)
    rest = _rest(sender)
    write_events(out / UNSENT_FILE, rest)
    place = remote_outbox.place_of(run_id()) if step else ""
    if rest and not _leave_on_remote(place, step, rest):
        logger.warning("they wait in %s", out / UNSENT_FILE)
    return len(rest)


def _finish_last(sender: Sender, place: str) -> int:
    """The same at the end of the exit task, which has no output."""
    sender.flush(longest_s=_LAST_LONGEST_S, failing_s=_LAST_FAILING_S, is_last=True)
    rest = _rest(sender)
    if rest and _leave_on_remote(place, remote_outbox.LAST, rest):
        logger.warning("to send them: python -m pipeline track %s", place)
    elif rest:
        for event in rest:
            logger.warning("%s", json.dumps(event, default=str))
    return len(rest)


def events_of_process() -> EventFile:
    """The file for events of this process that belong to no step."""
    return _outgoing().events


def _outgoing() -> Outgoing:
    if followed := os.environ.get(EVENTS):
        return Outgoing(EventFile(Path(followed)))
    uri = tracking_uri()
    return _own_outgoing(uri) if uri else Outgoing(EventFile(None))


@functools.cache
def _own_outgoing(uri: str) -> Outgoing:
    """The one sender of this process to a store, and its file of events."""
    folder = tempfile.mkdtemp(prefix="seglib-events-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / EVENT_FILE
    sender = Sender(uri)
    sender.follow(path)
    return Outgoing(EventFile(path), sender)


def _rest(sender: Sender) -> list[Event]:
    """The unsent and refused events, with a warning if there are any."""
    rest = [*sender.recorder.refused, *sender.unsent()]
    if rest:
        logger.warning("%d event(s) could not be tracked. %s", len(rest), sender.reason)
    return rest


def _leave_on_remote(place: str, step: str, rest: list[Event]) -> bool:
    """Leave events where the exit task, or a person, finds them, if there is a place.

    Returns:
        Whether they are there.
    """
    if place:
        with _as_warning():
            remote_outbox.keep(place, step, rest)
            logger.warning("they wait in %s", place)
            return True
    return False


def _check(left: int) -> None:
    if left and _is_required():
        logger.error("%d event(s) not tracked; %s=required.", left, TRACKING)
        raise SystemExit(1)


def _is_required() -> bool:
    return os.environ.get(TRACKING) == "required"


@contextmanager
def _as_warning() -> Iterator[None]:
    """What a remote says is no reason to fail a step."""
    try:
        yield
    except SegError as error:
        logger.warning("%s", error)
