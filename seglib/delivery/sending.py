"""Sends the events of a step from its own process, where no other follows them.

The store is MLFLOW_TRACKING_URI; without it nothing is tracked. What cannot be sent by
the step's end goes along with its output, and a step that takes the output sends it
first; a copy goes to a remote, if there is one, and the exit task sends that last
(seglib/delivery/outbox.py). With SEGLIB_TRACKING=required, a step fails instead.
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

from seglib.delivery.outbox import EVENT_FILE, LAST, UNSENT_FILE, RemoteOutbox
from seglib.delivery.sender import Sender
from seglib.distributed.process_group import Terminated
from seglib.environment import EVENTS, TRACKING, TRACKING_URI
from seglib.errors import SegError
from seglib.runtime.events import is_followed, read_events, run_id, write_events
from seglib.tracking.mlflow_address import tracking_uri

logger = logging.getLogger(__name__)

_LONGEST_S, _FAILING_S = 120.0, 20.0  # wait at the end of a step
_LAST_LONGEST_S, _LAST_FAILING_S = 600.0, 30.0  # of the exit task: nothing follows it


@contextmanager
def sending(step: str, *, out: Path, inputs: Iterable[Path]) -> Iterator[Path | None]:
    """Send the events of a step while its body runs, those of its inputs first.

    Args:
        step: its name on the remote; empty: the rest is not left there.
        out: the step's output, which keeps what could not be sent.
        inputs: outputs of earlier steps.

    Yields:
        The file for the events; None: nobody reads them.

    Raises:
        SystemExit: tracking is required, and something is left.
    """
    sender = _sender()
    remote = RemoteOutbox.of_run(run_id()) if step else None
    if sender:
        sender.put(e for folder in inputs for e in read_events(folder / UNSENT_FILE))
    try:
        yield events_of_process()
    except (Exception, SystemExit) as error:
        # After SIGTERM there is no time, and the next attempt tells all of it again.
        if sender and not isinstance(error, Terminated):
            with _as_warning():
                _finish(sender, step, remote, out)
        raise
    if sender:
        _check(_finish(sender, step, remote, out))


@contextmanager
def closing() -> Iterator[Path | None]:
    """Send the events of the exit task, those that the steps left on the remote first.

    Yields:
        The file for the events; None: nobody reads them.

    Raises:
        SystemExit: tracking is required, and something is left.
    """
    sender, remote = _sender(), RemoteOutbox.of_run(run_id())
    all_brought = False
    with tempfile.TemporaryDirectory() as folder:
        if sender and remote:
            with _as_warning():
                sender.put(remote.bring(Path(folder)))
                all_brought = True
        yield events_of_process()
        if sender:
            left = _finish(sender, LAST, remote)
            if remote and all_brought and not left:
                with _as_warning():
                    remote.forget()
            _check(left)


def send_before_exit(step: str) -> None:
    """Send the events of a process that ends before a step is over.

    Those that the store does not take wait on the remote.
    """
    if sender := _sender():
        _finish(sender, step, RemoteOutbox.of_run(run_id()))


def require_tracking() -> None:
    """Where tracking is required, wait until all so far is sent.

    Raises:
        SegError: it is required, and no store is named or it takes nothing.
    """
    if is_followed() or not _is_required():
        return
    sender = _sender()
    if not sender:
        raise SegError(f"{TRACKING}=required, but {TRACKING_URI} names no store.")
    if not sender.flush(longest_s=_LONGEST_S, failing_s=_FAILING_S):
        raise SegError(
            f"{sender.recorder.uri} takes no events, and {TRACKING}=required "
            f"({sender.reason or 'no answer yet'}). Start the server, or unset "
            f"{TRACKING}: then events wait until it is back."
        )


def events_of_process() -> Path | None:
    """The file for events of this process; None: nobody reads them."""
    if followed := os.environ.get(EVENTS):
        return Path(followed)
    uri = tracking_uri()
    return own_sender(uri)[1] if uri else None


@functools.cache
def own_sender(uri: str) -> tuple[Sender, Path]:
    """The one sender of this process to a store, and the file that it follows."""
    folder = tempfile.mkdtemp(prefix="seglib-events-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = Path(folder) / EVENT_FILE
    sender = Sender(uri)
    sender.follow(path)
    return sender, path


def _sender() -> Sender | None:
    """None: another process follows this one's events, or there is no store."""
    uri = "" if is_followed() else tracking_uri()
    return own_sender(uri)[0] if uri else None


def _finish(
    sender: Sender, step: str, remote: RemoteOutbox | None, out: Path | None = None
) -> int:
    """Send what can be sent at the end; keep the rest, and give its count.

    Args:
        remote: where the exit task, or a person, finds the rest.
        out: the step's output, which keeps it, too; the exit task has none.
    """
    is_last = out is None
    longest_s, failing_s = (
        (_LAST_LONGEST_S, _LAST_FAILING_S) if is_last else (_LONGEST_S, _FAILING_S)
    )
    sender.flush(longest_s=longest_s, failing_s=failing_s, is_last=is_last)
    rest = [*sender.recorder.refused, *sender.unsent()]
    if rest:
        logger.warning("%d event(s) could not be tracked. %s", len(rest), sender.reason)
    if out:
        write_events(out / UNSENT_FILE, rest)
    if rest and remote:
        with _as_warning():
            remote.keep(step, rest)
            logger.warning("they wait in %s", remote.place)
            if is_last:
                command = "python -m pipeline track"
                logger.warning("to send them: %s %s", command, remote.place)
            return len(rest)
    if rest and out:
        logger.warning("they wait in %s", out / UNSENT_FILE)
    elif rest:
        for event in rest:
            logger.warning("%s", json.dumps(event, default=str))
    return len(rest)


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
