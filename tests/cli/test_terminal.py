"""Names and messages of others on a terminal: shown as they are, obeyed never."""

import ast
import io
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from pipeline.local.display import Display
from seglib.cli.console import load_framework
from seglib.cli.progress import progress_bar, transfer_bar
from seglib.cli.terminal import Terminal, TerminalHandler, echo, tell_error, write_log
from seglib.plain_text import VisibleFormatter, table_cell, visible, visible_line

HOSTILE = {
    "clears the screen": ("a\x1b[2Jb", r"a\x1b[2Jb"),
    "sets the title": ("\x1b]0;x\x07", r"\x1b]0;x\x07"),
    "C1": ("a\x9b2Jb", r"a\x9b2Jb"),
    "turns around": ("gpj\u202egnp", r"gpj\u202egnp"),
    "isolates": ("a\u2066b", r"a\u2066b"),
    "no UTF-8": ("a\udcffb", r"a\udcffb"),
    "returns": ("safe\rEVIL", r"safe\rEVIL"),
    "deletes": ("ab\x08\x7fc", r"ab\x08\x7fc"),
    "markup": ("[red]a[/k] [link=x]", "[red]a[/k] [link=x]"),
    "an emoji's name": (":car:", ":car:"),
    "a format": ("{task.id} {0} %s", "{task.id} {0} %s"),
}
each_hostile = pytest.mark.parametrize(
    ("text", "shown"), HOSTILE.values(), ids=HOSTILE.keys()
)


def _terminal(**options: object) -> Terminal:
    return Terminal(file=io.StringIO(), _environ={}, **options)


def _written(terminal: Terminal) -> str:
    written: str = terminal.file.getvalue()  # type: ignore[attr-defined]
    return written


@each_hostile
def test_a_console_shows_texts_tables_and_logs_as_they_are(
    text: str, shown: str
) -> None:
    terminal = _terminal()
    terminal.print(text)
    terminal.print(Text.assemble(("mark", "red"), f" {visible(text)}"))
    table = Table(f"head {text}", title=text)
    table.add_row(text)
    terminal.print(table)
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s", (text,), None)
    TerminalHandler(terminal).emit(record)
    written = _written(terminal)
    assert written.count(shown) == 6
    assert visible(written) == written


@each_hostile
def test_a_terminal_gets_styles_of_ours_alone(text: str, shown: str) -> None:
    terminal = _terminal(force_terminal=True, width=100)
    terminal.print(Text.assemble(("mark", "red"), f" {visible(text)}"))
    assert _written(terminal) == f"\x1b[31mmark\x1b[0m {shown}\n"


@each_hostile
def test_progress_and_steps_show_texts_as_they_are(
    text: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = _terminal(force_terminal=True, width=200)
    monkeypatch.setattr("seglib.cli.progress.console", terminal)
    with progress_bar(text) as told:
        told(1, 2)
    with transfer_bar(text) as bar:
        bar.files(1, 2)
    assert shown in _written(terminal)
    assert text not in _written(terminal) or text == shown
    plain = _terminal()
    with Display(plain) as display:
        display.start("train")
        display.line(text)
        display.warn(text)
    assert _written(plain).count(shown) == 2


@each_hostile
def test_lines_and_errors_are_written_with_controls_written_out(
    text: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    echo(text)
    echo(text, err=True)
    tell_error(ValueError(text))
    printed = capsys.readouterr()
    assert printed.out == f"{shown}\n"
    assert printed.err == f"{shown}\nerror: {shown}\n"


def test_a_pods_log_has_controls_written_out() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "a\x1b[2J", (), None)
    assert VisibleFormatter("%(message)s").format(record) == r"a\x1b[2J"


def test_a_log_goes_to_a_pipe_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    write_log("\x1b[31mred\x1b[0m\n")
    assert capsys.readouterr().out == "\x1b[31mred\x1b[0m\n"


def test_a_log_on_a_terminal_steers_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    write_log("\x1b[31mred\n")
    assert capsys.readouterr().out == "\\x1b[31mred\n"


def test_in_a_pipe_no_line_is_wrapped_and_no_cell_is_cut() -> None:
    terminal, long = _terminal(), "/folder" * 60
    terminal.print(f"report: {long} and {long}")
    table = Table("class", "IoU", "", "", "")
    table.add_row(long, "0.5", long, long, long)
    terminal.print(table)
    lines = _written(terminal).splitlines()
    assert lines[0] == f"report: {long} and {long}"
    assert sum(line.count(long) for line in lines[1:]) == 4


@given(st.text())
def test_whatever_is_shown_stays_shown(text: str) -> None:
    assert visible(visible(text)) == visible(text)
    assert len(visible_line(text).splitlines()) <= 1
    assert "\n" not in table_cell(text)


def test_words_of_any_script_stay_as_they_are() -> None:
    text = "straße 道路 дорога طريق सड़क 🚗 é\tx\ny"
    assert visible(text) == text


def test_nothing_but_the_terminal_writes_to_one(repository: Path) -> None:
    """A console of rich itself takes texts for markup; `print` knows no controls."""
    wrong = [
        f"{path.relative_to(repository)}:{node.lineno}"
        for package in ("seglib", "pipeline")
        for path in sorted((repository / package).rglob("*.py"))
        # A bar in Python has a console of its own, also without the command line.
        if path.name not in ("terminal.py", "progress.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and (
            ast.unparse(node.func) in ("print", "Console", "typer.secho")
            or (
                ast.unparse(node.func) == "typer.echo"
                # JSON has no controls; a code's explanation is ours.
                and not ast.unparse(node.args[0]).startswith(("json.", "explanation"))
            )
        )
    ]
    assert not wrong


def test_on_a_terminal_lines_break_between_words_and_commands_stay_whole() -> None:
    terminal = _terminal(force_terminal=True, width=20, color_system=None)
    command = "  seglib convert a-long-folder --out another-one"
    path = "/folder" * 5
    terminal.print(
        f"one two three four five\n{command}\nin {path} it is", soft_wrap=True
    )
    record = logging.LogRecord(
        "x", logging.WARNING, "", 0, "words and more words", (), None
    )
    TerminalHandler(terminal).emit(record)
    assert _written(terminal).splitlines() == [
        "one two three four",
        "five",
        command,
        "in",
        path,
        "it is",
        "warning: words and",
        "more words",
    ]


def test_a_log_has_the_time_of_day_in_a_file_alone() -> None:
    record = logging.LogRecord("seglib.x", logging.INFO, "", 0, "said", (), None)
    terminal, file = _terminal(force_terminal=True, color_system=None), _terminal()
    for each in (terminal, file):
        TerminalHandler(each).emit(record)
    assert _written(terminal) == "said\n"
    assert re.fullmatch(r"\[\d\d:\d\d:\d\d\] said\n", _written(file))


def test_noise_of_libraries_is_not_logged() -> None:
    terminal = _terminal()
    handler = TerminalHandler(terminal)
    for text in ("Failed to load jax profiler: No module named 'jax'", "it matters"):
        record = logging.LogRecord("absl", logging.WARNING, "", 0, text, (), None)
        handler.handle(record)
    assert _written(terminal).endswith("warning: it matters\n")
    assert "jax" not in _written(terminal)


def test_a_warning_of_a_library_is_shown_as_one_of_ours() -> None:
    script = (
        "import warnings\nfrom seglib.cli.console import set_up_logging\n"
        "set_up_logging()\nwarnings.warn('the file is odd', UserWarning)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"\[[\d:]+\] warning: the file is odd\n", done.stdout)
    assert done.stderr == ""


def test_a_gpu_that_cannot_be_used_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("seglib.cli.console.has_gpu_driver", lambda: True)
    monkeypatch.setattr("seglib.cli.console.has_gpu", lambda: False)
    load_framework()
    assert "TensorFlow cannot use the GPU of this machine" in caplog.text
