"""Tracks local runs: one thread, and with it one import of MLflow, for all steps."""

import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.local.spooling import Spool, waiting_folders
from seglib.errors import SegError
from seglib.tracking import mlflow_address
from seglib.tracking import remote_outbox as left_behind
from seglib.tracking.delivery import Delivery, Message, Tracker
from seglib.tracking.mlflow_client import retry_by_delivery_alone
from seglib.tracking.outbox import UNTRACKED, write_messages
from seglib.tracking.run import Row
from seglib.tracking.sqlite_store import SQLITE, path_of, require_sound

_LONGEST_WAIT_S, _FAILING_WAIT_S = 120.0, 30.0


@dataclass(frozen=True)
class Tracked:
    """What came of tracking a run."""

    row: Row | None
    left: int = 0  # messages that wait to be sent
    reason: str = ""  # why
    refused: int = 0  # messages that the store did not take for what they say

    @property
    def whole(self) -> bool:
        return not (self.left or self.refused)


class RunTracker:
    """Has the messages of a run sent beside it, those of earlier runs first."""

    def __init__(self, uri: str, folder: Path, *, warn: Callable[[str], None]):
        retry_by_delivery_alone()
        self.uri = uri
        self._folder = folder
        self._delivery = Delivery(Tracker(uri, warn=warn), warn=warn)
        self._locks = ExitStack()
        self._spools = [self._take(folder)]
        for earlier in waiting_folders(folder.parent, uri):
            if earlier != folder:
                with suppress(SegError):  # it is still running
                    self._spools.append(self._take(earlier))
        for spool in self._spools[1:]:
            self._put_all(spool.waiting())
        self._spools[0].begin(uri)

    @property
    def earlier(self) -> list[str]:
        """The runs of which something is left to send."""
        return [spool.folder.name for spool in self._spools[1:]]

    def put(self, message: Mapping[str, Any]) -> None:
        self._delivery.put(message)

    def require(self) -> None:
        """Wait until all so far is tracked.

        Raises:
            SegError: the store does not take it.
        """
        if not self._flush() or self._delivery.tracker.refused:
            self._delivery.close()
            self._spools[0].end(self.uri, [])  # there will be no run to tell of
            self._locks.close()
            raise SegError(
                f"{self.uri} takes no messages, and tracking is "
                f"required ({self._delivery.reason or 'no answer yet'}). Start the "
                "server, or run without --tracking required: messages then wait until "
                "it is back."
            )

    def finish(self) -> Tracked:
        """Wait a while until all is tracked, and keep the rest in the runs' folders."""
        self._flush()
        rest, refused = self._delivery.close(), self._delivery.tracker.refused
        for spool in self._spools:
            name = spool.folder.name
            own = [m for m in (*refused, *rest) if m["run"] == name]
            before = spool.refused() if spool is not self._spools[0] else []
            spool.end(self.uri, [*before, *own])
        self._locks.close()
        name = self._folder.name
        return Tracked(
            row=self._delivery.tracker.rows.get(name),
            left=sum(m["run"] == name for m in rest),
            reason=self._delivery.reason,
            refused=sum(m["run"] == name for m in refused),
        )

    def _take(self, folder: Path) -> Spool:
        return self._locks.enter_context(Spool(folder))

    def _put_all(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._delivery.put(message)

    def _flush(self) -> bool:
        return self._delivery.flush(
            longest_s=_LONGEST_WAIT_S, failing_s=_FAILING_WAIT_S
        )


@dataclass(frozen=True)
class Sent:
    """What came of sending a folder's messages later."""

    sent: int
    left: int
    reason: str  # why
    refused: list[str]  # what the store did not take, and why


def send_waiting(folder: Path, uri: str, *, warn: Callable[[str], None]) -> Sent:
    """Send what a run's folder, or a step's output, keeps for the store.

    Args:
        uri: of the store.

    Raises:
        SegError: no such folder, or its run is still going on.
    """
    with Spool(folder) as spool:
        delivery = Delivery(Tracker(uri, warn=warn), warn=warn)
        for message in spool.waiting(refused=True):
            delivery.put({k: v for k, v in message.items() if k != "refused"})
        delivery.flush(longest_s=3600.0, failing_s=_FAILING_WAIT_S)
        rest, refused = delivery.close(), delivery.tracker.refused
        spool.end(uri, [*refused, *rest])
    reasons = [f"{m['kind']} ({m['refused']})" for m in refused]
    return Sent(delivery.delivered, len(rest), delivery.reason, reasons)


def send_left_behind(place: str, uri: str, *, warn: Callable[[str], None]) -> Sent:
    """Send what the pods of a run left on a remote, and remove it there.

    Args:
        place: of the run, as its log names it: s3://…/untracked/RUN.

    Raises:
        SegError: nothing is there, or the remote cannot be read.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_messages(folder / UNTRACKED, left_behind.bring(place, folder / "cache"))
        if not (folder / UNTRACKED).exists():
            raise SegError(f"{place}: no messages wait there.")
        sent = send_waiting(folder, uri, warn=warn)
    if not (sent.left or sent.refused):
        left_behind.forget(place)
    return sent


def existing_store(runs: Path) -> str:
    """As `tracking_uri`; empty where that is an SQLite store that is not there."""
    uri = tracking_uri(runs)
    database = path_of(uri)
    return "" if database and not database.exists() else uri


def tracking_uri(runs: Path) -> str:
    """MLFLOW_TRACKING_URI, else an SQLite store in the folder of runs.

    Raises:
        SegError: it can never be a store, whatever gets better.
    """
    default = f"{SQLITE}{runs.resolve() / 'mlflow.db'}"
    uri = mlflow_address.tracking_uri(default)
    if database := path_of(uri):
        require_sound(database)
    return uri
