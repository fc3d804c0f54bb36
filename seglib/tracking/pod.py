"""Tracking from a step's own process, where no runner follows its messages.

The store is MLFLOW_TRACKING_URI; without it nothing is tracked. What cannot be sent by
the step's end goes along with its output, and a step that gets the output sends it
first; it is left on a remote, too, if there is one, and the exit task sends it last
(seglib/tracking/remote_outbox.py). With SEGLIB_TRACKING=required, a step fails instead.
"""

import functools
import json
import logging
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from seglib.tracking import remote_outbox as left_behind
from seglib.tracking.delivery import Delivery, Message, Tracker
from seglib.tracking.mlflow_address import TRACKING as STORE
from seglib.tracking.mlflow_address import tracking_uri
from seglib.tracking.mlflow_client import retry_by_delivery_alone
from seglib.tracking.outbox import UNTRACKED, read_messages, write_messages

logger = logging.getLogger(__name__)

TRACKING = "SEGLIB_TRACKING"
_LONGEST_S, _FAILING_S = 120.0, 20.0  # wait at the end of a step
_LAST_LONGEST_S, _LAST_FAILING_S = 600.0, 30.0  # of the exit task: nothing follows it


def deliver(message: Message) -> None:
    """Have a message sent; returns at once."""
    if uri := tracking_uri():
        _delivery(uri).put(message)


def take_over(folders: Iterable[Path]) -> None:
    """Send first what the steps before could not."""
    for folder in folders:
        for message in read_messages(folder / UNTRACKED):
            deliver(message)


def require() -> None:
    """Where tracking is required, wait until all so far is tracked.

    Raises:
        SegError: it is required, and no store is named or it takes nothing.
    """
    from seglib.errors import SegError

    if os.environ.get(TRACKING) != "required":
        return
    uri = tracking_uri()
    if not uri:
        raise SegError(f"{TRACKING}=required, but {STORE} names no store.")
    if not _delivery(uri).flush(longest_s=_LONGEST_S, failing_s=_FAILING_S):
        raise SegError(
            f"{uri} takes no messages, and {TRACKING}=required "
            f"({_delivery(uri).reason or 'no answer yet'}). Start the server, or unset "
            f"{TRACKING}: then messages wait until it is back."
        )


@contextmanager
def taking_over_all(run: str) -> Iterator[None]:
    """For the exit task: send first what the steps of a run left on the remote."""
    place = left_behind.place_of(run)
    uri = tracking_uri()
    if not (uri and place):
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        with _as_warning():
            for message in left_behind.bring(place, Path(folder)):
                deliver(message)
        yield
        delivery = _delivery(uri)
        if not (delivery.tracker.refused or delivery.remaining()):
            with _as_warning():
                left_behind.forget(place)


def leave(run: str, step: str, folder: Path | None = None) -> None:
    """Wait a while for what is still to be sent, and keep the rest.

    Args:
        step: its name on the remote; empty: the rest is not left there.
        folder: the step's output, where the rest is kept, besides the remote. `None`:
            the exit task, which has none; nothing follows it, so the wait is longer.

    Raises:
        SegError: tracking is required, and something is left.
    """
    from seglib.errors import SegError

    uri = tracking_uri()
    if not uri:
        return
    delivery = _delivery(uri)
    if folder:
        delivery.flush(longest_s=_LONGEST_S, failing_s=_FAILING_S)
    else:
        delivery.flush(
            longest_s=_LAST_LONGEST_S, failing_s=_LAST_FAILING_S, is_last=True
        )
    rest = [*delivery.tracker.refused, *delivery.remaining()]
    if folder:
        write_messages(folder / UNTRACKED, rest)
    if rest:
        _keep(rest, delivery.reason, run, step, folder)
        if os.environ.get(TRACKING) == "required":
            raise SegError(f"{len(rest)} message(s) not tracked; {TRACKING}=required.")


def _keep(
    rest: list[Message], reason: str, run: str, step: str, folder: Path | None
) -> None:
    """Leave the rest where the exit task, or a person, finds it."""
    logger.warning("%d message(s) could not be tracked. %s", len(rest), reason)
    if step and (place := left_behind.place_of(run)):
        with _as_warning():
            left_behind.keep(place, step, rest)
            logger.warning("they wait in %s", place)
            if not folder:
                logger.warning("to send them: python -m pipeline track %s", place)
            return
    if folder:
        logger.warning("they wait in %s", folder / UNTRACKED)
        return
    for message in rest:
        logger.warning("%s", json.dumps(message, default=str))


@contextmanager
def _as_warning() -> Iterator[None]:
    """What a remote says is no reason to fail a step."""
    from seglib.errors import SegError

    try:
        yield
    except SegError as error:
        logger.warning("%s", error)


@functools.cache
def _delivery(uri: str) -> Delivery:
    retry_by_delivery_alone()
    return Delivery(Tracker(uri))
