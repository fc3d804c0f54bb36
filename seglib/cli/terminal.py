"""Output of the commands, without control characters in foreign text."""

import logging
import re
import sys
import time
from collections.abc import Iterable
from typing import Any, NoReturn

import typer
from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from seglib.errors import SegError, disk_problem
from seglib.noise import is_noise
from seglib.plain_text import visible

_COMMAND = re.compile(r" +(seglib|python) ")
_ENDLESS = 10_000  # columns: in a file and a pipe no line is wrapped, no cell is cut


class Terminal(Console):
    """A console without markup that shows control characters escaped.

    Styled output is a `Text`.
    """

    def __init__(self, **options: Any):
        super().__init__(markup=False, highlight=False, emoji=False, **options)

    @property  # type: ignore[misc]
    def size(self) -> ConsoleDimensions:
        if self.is_terminal:
            return super().size
        return ConsoleDimensions(_ENDLESS, 25)

    def print(
        self, *objects: Any, soft_wrap: bool | None = None, **options: Any
    ) -> None:
        """Print; on a terminal, a soft wrap breaks lines between words.

        A word that is longer than a line, such as a path, stays whole, and so does a
        line that is a command; with `no_wrap`, every line does.
        """
        if not (soft_wrap and self.is_terminal) or options.get("no_wrap"):
            super().print(*objects, soft_wrap=soft_wrap, **options)
            return
        for one in objects:
            text = one if isinstance(one, Text) else Text(visible(one))
            for line in text.split("\n", allow_blank=True):
                for part in _between_words(line, self.width):
                    super().print(part, soft_wrap=True, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        if isinstance(renderable, Text) and renderable.plain != visible(renderable):
            shown = renderable.blank_copy(visible(renderable))
            return super().render(shown, options)
        return super().render(renderable, options)


def _between_words(line: Text, width: int) -> Iterable[Text]:
    """The lines of a line, broken between words; a command is whole."""
    breaks, start = [], 0
    for word in re.finditer(r"\S+", line.plain):
        if word.end() - start > width and word.start() > start:
            start = word.start()
            breaks.append(start)
    parts = [line] if _COMMAND.match(line.plain) else line.divide(breaks)
    for part in parts:
        part.rstrip()
        yield part


console = Terminal()
errors = Terminal(stderr=True)


class TerminalHandler(logging.Handler):
    """Writes log records to a terminal; to a file, each with the time of day."""

    def __init__(self, terminal: Terminal):
        super().__init__()
        self._terminal = terminal
        self.setFormatter(logging.Formatter("%(message)s"))
        self.addFilter(lambda record: not is_noise(record.getMessage()))

    def emit(self, record: logging.LogRecord) -> None:
        live = self._terminal.is_terminal
        now = time.strftime("[%H:%M:%S] ", time.localtime(record.created))
        is_warning = record.levelno >= logging.WARNING
        head = ("warning: ", "yellow") if is_warning else ""
        text = visible(self.format(record)).rstrip("\n")
        shown = Text.assemble("" if live else now, head, text)
        self._terminal.print(shown, soft_wrap=True)


def echo(text: object = "", *, err: bool = False) -> None:
    """Write a line to stdout or stderr, with control characters escaped."""
    typer.echo(visible(text), err=err)


def write_log(text: str) -> None:
    """Write a part of another program's log: unchanged to a file or a pipe."""
    shown = visible(text) if sys.stdout.isatty() else text
    typer.echo(shown, nl=False, color=True)  # else colours would be left out


def run_commands(app: typer.Typer) -> None:
    """Run a command line; a problem is one message and a non-zero exit status."""
    try:
        app()
    except SegError as error:
        _end(error)
    except SystemExit as error:
        # Typer turns Ctrl-C into an Abort, and that into the exit status 1.
        if isinstance(error.__context__, typer.Abort):
            sys.exit(130)
        raise
    except Exception as error:
        told = disk_problem(error)
        if told is None:
            raise
        _end(told)


def tell_error(error: Exception) -> None:
    """Write a message to the errors."""
    text = Text.assemble(("error:", "bold red"), f" {visible(error)}")
    errors.print(text, soft_wrap=True)


def _end(error: SegError) -> NoReturn:
    tell_error(error)
    sys.exit(error.exit_code)
