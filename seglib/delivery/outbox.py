"""Outboxes: the events of a folder that MLflow has not got yet.

A step's output that holds unsent events has an `untracked.jsonl`; the next step that
takes the output sends them. The folder of a local run holds `events.jsonl`, all that
its steps told, and `tracking.json`: the store, and the file of the events that the
store has not got. While the run goes on, and if its process was killed, that file is
`events.jsonl` itself; at the end it is `untracked.jsonl`, or nothing.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from seglib.environment import CHECKPOINTS
from seglib.errors import SegError
from seglib.plain_text import without_login
from seglib.runtime.events import Event, read_events, write_events
from seglib.storage.atomic_write import lock, write_text
from seglib.storage.backends import MissingObjectError, object_key
from seglib.storage.backends.local import FolderRemote
from seglib.storage.fetching import fetch
from seglib.storage.listings import manifest_entries
from seglib.storage.publishing import publish
from seglib.storage.remotes import open_remote

EVENT_FILE, UNSENT_FILE, STATE = "events.jsonl", "untracked.jsonl", "tracking.json"
_OLD_EVENT_FILE = "messages.jsonl"  # of runs before events were called so
_WHOLE = (EVENT_FILE, _OLD_EVENT_FILE)  # all events of a run
LAST = "finalize"
_STEPS = ("verify", "augment", "train", "select", "evaluate", "gate", "export", LAST)
# Of an event.
_FOLDERS = ("manifest", "model", "table", "evaluation", "decision", "export")


class FolderOutbox:
    """The outbox of one folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    @contextmanager
    def locked(self) -> Iterator[Self]:
        """Keep other processes out.

        Raises:
            SegError: it has no events, or another process has it: the run goes on.
        """
        paths = (self.folder / name for name in (*_WHOLE, UNSENT_FILE))
        path = next(filter(Path.exists, paths), None)
        if path is None:
            raise SegError(
                f"{self.folder}: expected the folder of a run, with {EVENT_FILE}, or a "
                f"step's output with {UNSENT_FILE}."
            )
        with path.open("rb") as file:
            try:
                lock(file, wait=False)
            except OSError as error:
                raise SegError(
                    f"{self.folder}: another process is tracking it. Wait for its end."
                ) from error
            yield self

    @property
    def uri(self) -> str:
        """The store that lacks events, as far as it may be written down."""
        return str(self._state().get("uri", ""))

    def begin(self, uri: str) -> None:
        """From now on, all events of the run are to be sent to a store."""
        self._write_state(uri, EVENT_FILE)

    def unsent(self, *, refused: bool = False) -> list[dict[str, Any]]:
        """The events that the store has not got.

        Args:
            refused: also those that it refused for what they say.
        """
        left = self._state().get("left")
        if left is None:  # a step's output, or an old run
            names = (UNSENT_FILE, _OLD_EVENT_FILE, EVENT_FILE)
            left = next((n for n in names if (self.folder / n).exists()), "")
        events = read_events(self.folder / left) if left else []
        if left in _WHOLE and events and (last := events[-1])["kind"] != "close":
            # The end that a killed run could not tell: no run stays RUNNING for ever.
            end = {"kind": "close", "run": last["run"], "time_ms": last["time_ms"]}
            events.append({**end, "state": "CANCELED"})
        return [e for e in events if refused or "refused" not in e]

    def refused(self) -> list[dict[str, Any]]:
        """The events that the store refused for what they say."""
        return [e for e in read_events(self.folder / UNSENT_FILE) if "refused" in e]

    def end(self, uri: str, rest: Iterable[Event]) -> None:
        """Keep the events that could not be sent."""
        rest = list(rest)
        write_events(self.folder / UNSENT_FILE, rest)
        self._write_state(uri, UNSENT_FILE if rest else "")

    def _state(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = json.loads((self.folder / STATE).read_text())
        except (OSError, ValueError):
            return {}
        return state

    def _write_state(self, uri: str, left: str) -> None:
        state = {"uri": without_login(uri), "left": left}
        write_text(self.folder / STATE, json.dumps(state) + "\n")


def waiting_outboxes(runs: Path, uri: str) -> list[FolderOutbox]:
    """The outboxes of a folder of runs that lack events in a store, oldest first."""
    folders = (path.parent for path in sorted(runs.glob(f"*/{STATE}")))
    outboxes = [FolderOutbox(folder) for folder in folders if not folder.is_symlink()]
    return [o for o in outboxes if o.uri == without_login(uri) and o.unsent()]


class RemoteOutbox:
    """The unsent events of a run's pods, on a remote where its exit task finds them.

    A step's output keeps them, too; but only steps that take that output see them, no
    step follows the last one, and a failed step has no output. They lie beside the
    checkpoints, one file a step, with the folders that the events name, by content.

    Args:
        place: of the run, `…/untracked/RUN`.
    """

    def __init__(self, place: str):
        self.place = place

    @classmethod
    def of_run(cls, run: str) -> Self | None:
        """That of a run; None: there is no such remote."""
        place = os.environ.get(CHECKPOINTS, "").rstrip("/")
        return cls(f"{place}/untracked/{run}") if place and run else None

    def keep(self, step: str, events: Iterable[Event]) -> None:
        """Leave a step's events, and what is in the folders that they name.

        Raises:
            SegError: the remote cannot be written to.
        """
        published: dict[str, str] = {}
        lines = []
        for event in events:
            kept = dict(event)
            for name in _FOLDERS:
                folder = str(event.get(name) or "")
                if folder and Path(folder).is_dir():
                    if folder not in published:
                        published[folder] = publish(Path(folder), self.place).key
                    kept[name] = {"key": published[folder]}
            lines.append(json.dumps(kept, default=str) + "\n")
        remote = open_remote(self.place, create=True)
        remote.write(f"{step}.jsonl", "".join(lines).encode())

    def bring(self, folder: Path) -> Iterator[dict[str, Any]]:
        """The events that were left, in the order of the steps, each once.

        Args:
            folder: where the folders go that they name.

        Raises:
            SegError: the remote cannot be read.
        """
        # A later step had some, too, and could not send them either.
        for text in dict.fromkeys(self._lines()):
            event = json.loads(text)
            for name, key in _published(event).items():
                event[name] = str(fetch(key, self.place, cache=folder))
            yield event

    def forget(self) -> None:
        """Remove all that was left.

        Raises:
            SegError: the remote cannot be written to.
        """
        events = map(json.loads, self._lines())
        keys = {key for event in events for key in _published(event).values()}
        remote = open_remote(self.place, create=True)
        if isinstance(remote, FolderRemote):
            shutil.rmtree(remote.root, ignore_errors=True)
            return
        for key in sorted(keys):
            for entry in manifest_entries(key, self.place):
                remote.delete(object_key(entry.md5))
            remote.delete(object_key(key))
        for step in _STEPS:
            remote.delete(f"{step}.jsonl")

    def _lines(self) -> Iterator[str]:
        if "://" not in self.place and not Path(self.place).is_dir():
            return
        remote = open_remote(self.place)
        for step in _STEPS:
            try:
                content = remote.read(f"{step}.jsonl").content
            except MissingObjectError:
                continue
            yield from content.decode().splitlines()


def _published(event: Event) -> dict[str, str]:
    """The folders of an event that are on the remote, with their keys."""
    named = {name: event.get(name) for name in _FOLDERS}
    return {k: value["key"] for k, value in named.items() if isinstance(value, dict)}
