"""Events: what a step tells while it runs, one JSON object a line of a file.

On a laptop all steps of a run append to one file, SEGLIB_EVENTS, which the process
that started them follows. In a pod a step has a file of its own, which its own process
follows (seglib/delivery/pod.py).
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


class EventFile:
    """Appends events to a file.

    Args:
        path: `None`: nobody reads them, and nothing is written.
    """

    def __init__(self, path: Path | None):
        self.path = path

    def append(self, kind: str, **content: Any) -> None:
        """Append an event of this process's run.

        Raises:
            OSError: it cannot be written.
        """
        event = {"kind": kind, "run": run_id(), "time_ms": now_ms(), **content}
        if task_run := os.environ.get(TASK_RUN):
            event["adopted"] = task_run
        if self.path:
            append_event(self.path, event)


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
                    if event := _parsed(line):
                        yield event
        except (FileNotFoundError, NotADirectoryError):
            return


def append_event(path: Path, event: Event) -> None:
    """Append one event; lines of parallel steps do not mix.

    Raises:
        OSError: it cannot be written; names the file.
    """
    line = json.dumps(event, default=str) + "\n"
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, line.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(file)


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events of a file; none if it is not there. An unfinished line is left out."""
    return list(EventReader(path).read())


def write_events(path: Path, events: Iterable[Event]) -> None:
    """Replace a file of events; without events there is no file.

    Raises:
        SegError: it cannot be written.
    """
    text = "".join(json.dumps(event, default=str) + "\n" for event in events)
    if text:
        write_bytes(path, text.encode())
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
    if is_followed():
        return {}
    known = {
        "git_commit": os.environ.get(GIT_COMMIT, ""),
        "image": os.environ.get(IMAGE, ""),
    }
    return {name: value for name, value in known.items() if value}


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The event of a line; None for a line that a full disk cut off."""
    try:
        event: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return event
