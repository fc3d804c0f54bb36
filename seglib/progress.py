"""Progress of a call in Python: a bar on a terminal or in a notebook, and its log.

The command line and the pipeline show progress in their own ways: they give a function
that is told of it.
"""

import importlib
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from html import escape
from typing import Protocol

from seglib.plain_text import visible, visible_line

Tell = Callable[[int, int], None]  # (done, total)
TellStage = Callable[[str, int, int], None]  # (what is being done, done, total)
Progress = Tell | bool | None
StageProgress = TellStage | bool | None

_EVERY_S = 0.1  # between two pictures of a notebook's bar
_LINES = 200  # of the log that a notebook keeps


@contextmanager
def shown(progress: Progress, text: str) -> Iterator[Tell]:
    """Show the progress of a piece of work, and what the package logs meanwhile.

    Args:
        progress: True shows it, False does not, None does in notebooks and on
            terminals; a function is called with (done, total) instead.
        text: what is being done, such as "training".

    Yields:
        What is to be called with (done, total).
    """
    if callable(progress) or not _is_wanted(progress):
        yield progress if callable(progress) else (lambda *_: None)
        return
    with _bar(text) as bar:
        yield partial(bar.update, text)


@contextmanager
def shown_stages(progress: StageProgress, text: str) -> Iterator[TellStage]:
    """As `shown`, of work in several stages; what is given is called with their names.

    Yields:
        What is to be called with (what is being done, done, total).
    """
    if callable(progress) or not _is_wanted(progress):
        yield progress if callable(progress) else (lambda *_: None)
        return
    with _bar(text) as bar:
        yield bar.update


def in_notebook() -> bool:
    """Whether this is a kernel of Jupyter, Colab or an editor."""
    ipython = sys.modules.get("IPython")
    return hasattr(ipython and ipython.get_ipython(), "kernel")


def _is_wanted(progress: bool | None) -> bool:
    return bool(
        (progress is None and (in_notebook() or sys.stderr.isatty())) or progress
    )


@contextmanager
def _bar(text: str) -> Iterator["_Bar"]:
    opened = _notebook_bar(text) if in_notebook() else _terminal_bar(text)
    with opened as bar, _log(bar):
        yield bar


class _Bar(Protocol):
    def update(self, text: str, done: int, total: int) -> None: ...

    def line(self, text: str) -> None: ...


class _TerminalBar:
    def __init__(self, text: str) -> None:
        # It takes a tenth of a second.
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        console = Console(stderr=True, markup=False, highlight=False)
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=console.is_terminal,
        )
        self._task = self.bar.add_task(text, total=None)

    def update(self, text: str, done: int, total: int) -> None:
        shown = visible_line(text)
        self.bar.update(self._task, description=shown, completed=done, total=total)

    def line(self, text: str) -> None:
        self.bar.console.print(visible(text), soft_wrap=True)


class _NotebookBar:
    """HTML that is displayed once and then updated; it needs no widgets."""

    def __init__(self, text: str) -> None:
        self._text, self._start, self._shown = text, time.monotonic(), 0.0
        self._done, self._total, self._lines = 0, 0, list[str]()
        self._display = importlib.import_module("IPython.display")
        self._handle = self._display.display(self._html(), display_id=True)

    def update(self, text: str, done: int, total: int) -> None:
        self._text, self._done, self._total = text, done, total
        if time.monotonic() - self._shown >= _EVERY_S:
            self._show()

    def line(self, text: str) -> None:
        self._lines = [*self._lines[-_LINES:], visible_line(text)]
        self._show()

    def end(self) -> None:
        self._show(is_over=True)

    def _show(self, *, is_over: bool = False) -> None:
        self._shown = time.monotonic()
        self._handle.update(self._html(is_over=is_over))

    def _html(self, *, is_over: bool = False) -> object:
        done, total = self._done, self._total
        spent_s = time.monotonic() - self._start
        told = f"{self._text} {done:,}/{total:,}" if total else self._text
        if is_over:
            told += f" · {_minutes(spent_s)}"
        elif 0 < done < total:
            told += f" · {_minutes(spent_s * (total - done) / done)} left"
        place = f'value="{done}" max="{total}"' if total else ""
        bar = "" if is_over else f'<progress {place} style="width:16em"></progress> '
        lines = escape("\n".join(self._lines))
        lines = lines and f'<pre style="margin:0;background:none">{lines}</pre>'
        return self._display.HTML(f"<div>{bar}{escape(told)}</div>{lines}")


@contextmanager
def _terminal_bar(text: str) -> Iterator[_Bar]:
    bar = _TerminalBar(text)
    with bar.bar:
        yield bar


@contextmanager
def _notebook_bar(text: str) -> Iterator[_Bar]:
    bar = _NotebookBar(text)
    try:
        yield bar
    finally:
        bar.end()


class _Lines(logging.Handler):
    """Shows records above or below a bar."""

    def __init__(self, bar: _Bar) -> None:
        super().__init__(logging.INFO)
        self._bar = bar

    def emit(self, record: logging.LogRecord) -> None:
        self._bar.line(self.format(record))


@contextmanager
def _log(bar: _Bar) -> Iterator[None]:
    """Show what the package logs, unless the program shows it itself."""
    logger = logging.getLogger("seglib")
    if logger.hasHandlers() and logger.isEnabledFor(logging.INFO):
        yield
        return
    handler, before = _Lines(bar), (logger.level, logger.propagate)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # libraries give the root logger handlers
    try:
        yield
    finally:
        level, logger.propagate = before
        logger.setLevel(level)
        logger.removeHandler(handler)


def _minutes(seconds: float) -> str:
    """Minutes and seconds, such as 1:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
