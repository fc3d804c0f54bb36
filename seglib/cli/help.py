"""`--help` in lines that wrap at any width, with the options in groups."""

import shutil
import textwrap
from collections.abc import Iterable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

_NARROWEST_TABLE = 70  # columns; below, a text stands under its name
_NAME_COLUMNS = 26

Row = tuple[str, str]  # what it is called, and what it does


class HelpfulCommand(TyperCommand):
    """A command with this help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(_help_of(self, ctx))


class HelpfulGroup(TyperGroup):
    """A group of commands with this help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(_help_of(self, ctx))


class App(typer.Typer):
    """A command line whose commands have this help."""

    def __init__(self, **given: Any):
        super().__init__(
            cls=HelpfulGroup,
            no_args_is_help=True,
            pretty_exceptions_enable=False,
            rich_markup_mode=None,
            **given,
        )

    def command(self, name: str | None = None, **given: Any) -> Any:
        """Add a command, as `typer.Typer` does."""
        return super().command(name, cls=HelpfulCommand, **given)


def _help_of(command: Any, ctx: Any) -> str:
    """Usage, docstring, and what the command takes."""
    width = shutil.get_terminal_size().columns
    usage = " ".join(command.collect_usage_pieces(ctx))
    head = _wrapped(f"Usage: {ctx.command_path} {usage}", width, hanging=7)
    parts = [head, *_paragraphs(command.help, width)]
    for name, rows in _groups(command, ctx).items():
        parts.append("\n".join((f"{name}:", *_lines(rows, width))))
    return "\n\n".join(parts) + "\n"


def _groups(command: Any, ctx: Any) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {"Arguments": []}
    for param in command.get_params(ctx):
        if record := param.get_help_record(ctx):
            kind = f"{param.param_type_name.capitalize()}s"
            groups.setdefault(param.rich_help_panel or kind, []).append(record)
    options = groups.pop("Options", [])  # those without a group come last
    for name in getattr(command, "commands", ()):
        each = command.get_command(ctx, name)
        row = name, each.get_short_help_str(limit=300)
        groups.setdefault(each.rich_help_panel or "Commands", []).append(row)
    return {
        name: rows for name, rows in (groups | {"Options": options}).items() if rows
    }


def _paragraphs(text: str | None, width: int) -> list[str]:
    parts = (text or "").strip().split("\n\n")
    return [_wrapped(" ".join(part.split()), width) for part in parts]


def _lines(rows: Iterable[Row], width: int) -> Iterable[str]:
    rows = list(rows)
    longest = max((len(name) for name, _ in rows), default=0)
    column = min(longest, _NAME_COLUMNS) + 4
    for name, text in rows:
        if width >= _NARROWEST_TABLE and len(name) <= _NAME_COLUMNS:
            head = f"  {name}".ljust(column)
            yield _wrapped(head + text, width, hanging=column)
        else:
            yield _wrapped(f"  {name}", width, hanging=4)
            indent = column if width >= _NARROWEST_TABLE else 6
            yield _wrapped(" " * indent + text, width, hanging=indent)


def _wrapped(text: str, width: int, *, hanging: int = 0) -> str:
    return textwrap.fill(
        text,
        max(width, 20),
        subsequent_indent=" " * hanging,
        break_long_words=True,
        break_on_hyphens=False,
    )
