"""Progress bars of the commands."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from seglib.cli.terminal import console
from seglib.plain_text import visible


@contextmanager
def progress_bar(text: str) -> Iterator[Callable[[int, int], None]]:
    with stage_bar(text) as update:
        yield partial(update, text)


@contextmanager
def stage_bar(text: str) -> Iterator[Callable[[str, int, int | None], None]]:
    """A bar of several stages: it is told the name of each, done and total."""
    columns = (
        _title(),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with _progress(*columns) as progress:
        task = progress.add_task(visible(text), total=None)

        def update(stage: str, done: int, total: int | None) -> None:
            shown = visible(stage)
            progress.update(task, description=shown, completed=done, total=total)

        yield update


class TransferBar:
    """Counts the files and bytes that `transfer_bar` shows."""

    def __init__(self, progress: Progress, task: TaskID):
        self._progress, self._task = progress, task
        self._bytes, self._started = 0, time.monotonic()
        self._counting = threading.Lock()

    def files(self, done: int, total: int) -> None:
        """Update the bar; called by the waiting thread."""
        speed = self._bytes / max(time.monotonic() - self._started, 0.1)
        moved = f"{decimal(self._bytes)}, {decimal(int(speed))}/s"
        self._progress.update(self._task, completed=done, total=total, moved=moved)

    def moved(self, count: int) -> None:
        """Count bytes; called by any thread."""
        with self._counting:
            self._bytes += count


@contextmanager
def transfer_bar(text: str) -> Iterator[TransferBar]:
    columns = (
        _title(),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[moved]}"),
        TimeRemainingColumn(),
    )
    with _progress(*columns) as progress:
        yield TransferBar(
            progress, progress.add_task(visible(text), total=None, moved="")
        )


def _progress(*columns: ProgressColumn) -> Progress:
    """A progress bar that leaves no output behind."""
    silent = not console.is_terminal
    return Progress(*columns, console=console, transient=True, disable=silent)


def _title() -> ProgressColumn:
    """The task's text, without markup and without fields in braces."""
    return TextColumn("{task.description}", markup=False)
