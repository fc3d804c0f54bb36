"""What a run's folder keeps of its tracking, so that nothing is lost with the store.

Beside `messages.jsonl`, all that was told, lies `tracking.json`: the store, and the
file of the messages that it has not got yet. While a run is going on, and if its
process was killed, that is `messages.jsonl` itself; what is sent twice is there once.
At the end it is `untracked.jsonl`, or nothing.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from seglib.errors import SegError
from seglib.plain_text import without_login
from seglib.storage.file_lock import lock
from seglib.tracking.outbox import (
    UNTRACKED,
    Message,
    read_messages,
    replace_text,
    write_messages,
)

MESSAGES, STATE = "messages.jsonl", "tracking.json"


class Spool:
    """The messages of one folder; a context manager that keeps others out."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> Self:
        """Take the folder.

        Raises:
            SegError: another process has it: the run is still going on.
        """
        path = self._path_of_lock()
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
        """The store that lacks messages, as far as it may be written down."""
        return str(self._state().get("uri", ""))

    def begin(self, uri: str) -> None:
        """From now on, all messages are to be sent to a store."""
        self._write_state(uri, MESSAGES)

    def waiting(self, *, refused: bool = False) -> list[dict[str, Any]]:
        """The messages that the store has not got.

        Args:
            refused: those, too, that it did not take for what they say.
        """
        left = self._state().get("left", self._unmarked())
        messages = read_messages(self.folder / left) if left else []
        if left == MESSAGES and messages and messages[-1]["kind"] != "close":
            messages.append(_end_of_a_killed_run(messages[-1]))
        return [m for m in messages if refused or "refused" not in m]

    def refused(self) -> list[dict[str, Any]]:
        """The messages that the store did not take for what they say."""
        return [m for m in read_messages(self.folder / UNTRACKED) if "refused" in m]

    def end(self, uri: str, rest: Iterable[Message]) -> None:
        """Keep the messages that could not be sent."""
        rest = list(rest)
        write_messages(self.folder / UNTRACKED, rest)
        self._write_state(uri, UNTRACKED if rest else "")

    def _unmarked(self) -> str:
        """What to send of a folder without a state: a step's output, or an old run."""
        names = (UNTRACKED, MESSAGES)
        return next((n for n in names if (self.folder / n).exists()), "")

    def _path_of_lock(self) -> Path:
        names = (MESSAGES, UNTRACKED)
        path = next((p for n in names if (p := self.folder / n).exists()), None)
        if path is None:
            raise SegError(
                f"{self.folder}: expected the folder of a run, with {MESSAGES}, or a "
                f"step's output with {UNTRACKED}."
            )
        return path

    def _state(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = json.loads((self.folder / STATE).read_text())
        except (OSError, ValueError):
            return {}
        return state

    def _write_state(self, uri: str, left: str) -> None:
        state = {"uri": without_login(uri), "left": left}
        replace_text(self.folder / STATE, json.dumps(state) + "\n")


def waiting_folders(runs: Path, uri: str) -> list[Path]:
    """The runs of a folder that lack messages in a store, the oldest first."""
    found = []
    for path in sorted(runs.glob(f"*/{STATE}")):
        folder = path.parent
        if not folder.is_symlink() and Spool(folder).uri == without_login(uri):
            found.append(folder)
    return [folder for folder in found if Spool(folder).waiting()]


def _end_of_a_killed_run(last: Message) -> dict[str, Any]:
    """What a run would have told if it could: no row should stay RUNNING for ever."""
    head = {"kind": "close", "run": last["run"], "time_ms": last["time_ms"]}
    return {**head, "state": "CANCELED", "parts": ["record_end"]}
