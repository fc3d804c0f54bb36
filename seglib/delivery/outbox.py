"""Outboxes: the events of a folder that MLflow has not got yet.

A step's output that holds unsent events has an `untracked.jsonl`; the next step that
takes the output sends them. The folder of a local run holds `events.jsonl`, all that
its steps told, and `tracking.json`: the store, and the file of the events that the
store has not got. While the run goes on, and if its process was killed, that file is
`events.jsonl` itself; at the end it is `untracked.jsonl`, or nothing.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from seglib.errors import SegError
from seglib.plain_text import without_login
from seglib.runtime.events import Event, read_events, write_events
from seglib.storage.atomic_write import lock, write_text

EVENT_FILE, UNSENT_FILE, STATE = "events.jsonl", "untracked.jsonl", "tracking.json"
_OLD_EVENT_FILE = "messages.jsonl"  # of runs before events were called so


class FolderOutbox:
    """The outbox of one folder; a context manager that keeps others out."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> Self:
        """Take the folder.

        Raises:
            SegError: it has no events, or another process has it: the run goes on.
        """
        path = next(filter(Path.exists, self._files()), None)
        if path is None:
            raise SegError(
                f"{self.folder}: expected the folder of a run, with {EVENT_FILE}, or a "
                f"step's output with {UNSENT_FILE}."
            )
        self._lock = path.open("rb")
        try:
            lock(self._lock, wait=False)
        except OSError as error:
            self._lock.close()
            raise SegError(
                f"{self.folder}: another process is tracking it. Wait for its end."
            ) from error
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._lock:
            self._lock.close()

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
        left = self._state().get("left", self._unmarked())
        events = read_events(self.folder / left) if left else []
        is_all = left in (EVENT_FILE, _OLD_EVENT_FILE)
        if is_all and events and events[-1]["kind"] != "close":
            events.append(_end_of_a_killed_run(events[-1]))
        return [e for e in events if refused or "refused" not in e]

    def refused(self) -> list[dict[str, Any]]:
        """The events that the store refused for what they say."""
        return [e for e in read_events(self.folder / UNSENT_FILE) if "refused" in e]

    def end(self, uri: str, rest: Iterable[Event]) -> None:
        """Keep the events that could not be sent."""
        rest = list(rest)
        write_events(self.folder / UNSENT_FILE, rest)
        self._write_state(uri, UNSENT_FILE if rest else "")

    def _files(self) -> list[Path]:
        names = (EVENT_FILE, _OLD_EVENT_FILE, UNSENT_FILE)
        return [self.folder / name for name in names]

    def _unmarked(self) -> str:
        """What to send of a folder without a state: a step's output, or an old run."""
        found = [path.name for path in reversed(self._files()) if path.exists()]
        return found[0] if found else ""

    def _state(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = json.loads((self.folder / STATE).read_text())
        except (OSError, ValueError):
            return {}
        return state

    def _write_state(self, uri: str, left: str) -> None:
        state = {"uri": without_login(uri), "left": left}
        write_text(self.folder / STATE, json.dumps(state) + "\n")


def waiting_folders(runs: Path, uri: str) -> list[Path]:
    """The runs of a folder that lack events in a store, the oldest first."""
    folders = [path.parent for path in sorted(runs.glob(f"*/{STATE}"))]
    return [
        folder
        for folder in folders
        if not folder.is_symlink()
        and FolderOutbox(folder).uri == without_login(uri)
        and FolderOutbox(folder).unsent()
    ]


def _end_of_a_killed_run(last: Event) -> dict[str, Any]:
    """The end that a killed run could not tell: no run stays RUNNING for ever."""
    head = {"kind": "close", "run": last["run"], "time_ms": last["time_ms"]}
    return {**head, "state": "CANCELED", "parts": ["record_end"]}
