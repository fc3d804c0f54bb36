"""Tracks local runs: one sender, and with it one import of MLflow, for all steps."""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from seglib.delivery.outbox import (
    EVENT_FILE,
    UNSENT_FILE,
    FolderOutbox,
    RemoteOutbox,
    waiting_outboxes,
)
from seglib.delivery.sender import Sender
from seglib.errors import SegError
from seglib.runtime.events import Event, write_events
from seglib.tracking import mlflow_address
from seglib.tracking.sqlite_store import SQLITE, path_of, require_sound
from seglib.tracking.tracked_run import TrackedRun

_LONGEST_WAIT_S, _FAILING_WAIT_S = 120.0, 30.0


@dataclass(frozen=True)
class Tracked:
    """What came of tracking a run, or of sending its events later."""

    run: TrackedRun | None = None
    sent: int = 0  # events
    left: int = 0  # that wait to be sent
    reason: str = ""  # why
    refused: tuple[str, ...] = ()  # what the store refused for what it says, and why

    @property
    def whole(self) -> bool:
        """Whether the store has all of it."""
        return not (self.left or self.refused)


class RunTracker:
    """Sends the events of a run as they come, those of earlier runs first."""

    def __init__(self, uri: str, folder: Path, *, warn: Callable[[str], None]):
        self.uri = uri
        self._locks = ExitStack()
        self._own = self._locks.enter_context(FolderOutbox(folder).locked())
        self._earlier: list[FolderOutbox] = []
        self._sender = Sender(uri, warn=warn)
        for outbox in waiting_outboxes(folder.parent, uri):
            if outbox.folder != folder:
                with suppress(SegError):  # it is still running
                    self._earlier.append(self._locks.enter_context(outbox.locked()))
                    self._sender.put(outbox.unsent())
        self._own.begin(uri)
        self._sender.follow(folder / EVENT_FILE)

    @property
    def earlier(self) -> list[str]:
        """The runs of which something is left to send."""
        return [outbox.folder.name for outbox in self._earlier]

    def require(self) -> None:
        """Wait until all so far is tracked.

        Raises:
            SegError: the store does not take it.
        """
        if not self._flush() or self._sender.recorder.refused:
            self._sender.close()
            self._own.end(self.uri, [])  # there will be no run to tell of
            self._locks.close()
            raise SegError(
                f"{self.uri} takes no events, and tracking is required "
                f"({self._sender.reason or 'no answer yet'}). Start the server, or run "
                "without --tracking required: events then wait until it is back."
            )

    def finish(self) -> Tracked:
        """Wait a while until all is tracked, and keep the rest in the runs' folders."""
        self._flush()
        rest, refused = self._sender.close(), self._sender.recorder.refused
        for outbox in (self._own, *self._earlier):
            name = outbox.folder.name
            left = [e for e in (*refused, *rest) if e["run"] == name]
            before = outbox.refused() if outbox is not self._own else []
            outbox.end(self.uri, [*before, *left])
        self._locks.close()
        return _tracked(self._sender, rest, self._own.folder.name)

    def _flush(self) -> bool:
        return self._sender.flush(longest_s=_LONGEST_WAIT_S, failing_s=_FAILING_WAIT_S)


def send_unsent(folder: Path, uri: str, *, warn: Callable[[str], None]) -> Tracked:
    """Send what a run's folder, or a step's output, keeps for the store.

    Raises:
        SegError: no such folder, or its run is still going on.
    """
    with FolderOutbox(folder).locked() as outbox:
        sender = Sender(uri, warn=warn)
        events = outbox.unsent(refused=True)
        sender.put({k: v for k, v in e.items() if k != "refused"} for e in events)
        sender.flush(longest_s=3600.0, failing_s=_FAILING_WAIT_S)
        rest = sender.close()
        outbox.end(uri, [*sender.recorder.refused, *rest])
    return _tracked(sender, rest, sent=len(events) - len(rest))


def send_from_remote(place: str, uri: str, *, warn: Callable[[str], None]) -> Tracked:
    """Send what the pods of a run left on a remote, and remove it there.

    Args:
        place: of the run, as its log names it: s3://…/untracked/RUN.

    Raises:
        SegError: nothing is there, or the remote cannot be read.
    """
    remote = RemoteOutbox(place)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_events(folder / UNSENT_FILE, remote.bring(folder / "cache"))
        if not (folder / UNSENT_FILE).exists():
            raise SegError(f"{place}: no events wait there.")
        sent = send_unsent(folder, uri, warn=warn)
    if sent.whole:
        remote.forget()
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


def _tracked(
    sender: Sender, rest: Sequence[Event], run: str = "", *, sent: int = 0
) -> Tracked:
    """What a sender leaves, of one run or of all."""
    recorder = sender.recorder
    return Tracked(
        run=recorder.runs.get(run),
        sent=sent,
        left=sum(run in ("", e["run"]) for e in rest),
        reason=sender.reason,
        refused=tuple(
            f"{e['kind']} ({e['refused']})"
            for e in recorder.refused
            if run in ("", e["run"])
        ),
    )
