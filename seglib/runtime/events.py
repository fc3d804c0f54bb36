"""Events: what a step tells while it runs, one JSON object a line of a file.

On a laptop all steps of a run append to one file, SEGLIB_EVENTS, which the process
that started them follows. In a pod a step has a file of its own, which its own process
follows (seglib/delivery/sending.py).
"""

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from seglib.environment import EVENTS, GIT_COMMIT, IMAGE, RUN_ID, TASK_RUN
from seglib.storage.atomic_write import write_bytes

Event = Mapping[str, Any]


def tell(path: Path | None, kind: str, **content: Any) -> None:
    """Append an event of this process's run to a file; None: nobody reads it.

    Raises:
        OSError: it cannot be written; names the file.
    """
    if path is None:
        return
    event = {"kind": kind, "run": run_id(), "time_ms": now_ms(), **content}
    if task_run := os.environ.get(TASK_RUN):
        event["adopted"] = task_run
    append_event(path, event)


def append_event(path: Path, event: Event) -> None:
    """Append one event; lines of parallel steps do not mix.

    Raises:
        OSError: it cannot be written; names the file.
    """
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, _line(event))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(file)


class EventReader:
    """Reads the events of a file as they are appended."""

    def __init__(self, path: Path):
        self.path = path
        self._position = 0

    def read(self) -> Iterator[dict[str, Any]]:
        """The events since the last call; an unfinished line waits."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._position)
                for line in file:
                    if not line.endswith(b"\n"):
                        return
                    self._position += len(line)
                    try:
                        yield json.loads(line)
                    except ValueError:
                        continue  # a full disk cut it off
        except (FileNotFoundError, NotADirectoryError):
            return


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events of a file; none if it is not there. An unfinished line is left out."""
    return list(EventReader(path).read())


def write_events(path: Path, events: Iterable[Event]) -> None:
    """Replace a file of events; without events there is no file.

    Raises:
        SegError: it cannot be written.
    """
    if content := b"".join(map(_line, events)):
        write_bytes(path, content)
    else:
        path.unlink(missing_ok=True)


def is_followed() -> bool:
    """Whether another process follows this one's events, and shows and sends them."""
    return bool(os.environ.get(EVENTS))


def now_ms() -> int:
    """The time in MLflow's unit: since 1970, in milliseconds."""
    return time.time_ns() // 1_000_000


def run_id() -> str:
    """The pipeline run that this process belongs to; empty outside of one."""
    return os.environ.get(RUN_ID, "")


def source_tags() -> dict[str, str]:
    """The commit and the image of this process, where no runner tells them better."""
    names = {} if is_followed() else {"git_commit": GIT_COMMIT, "image": IMAGE}
    known = {tag: os.environ.get(name, "") for tag, name in names.items()}
    return {tag: value for tag, value in known.items() if value}


def _line(event: Event) -> bytes:
    return json.dumps(event, default=str).encode() + b"\n"
