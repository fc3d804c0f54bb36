"""Progress of a call in Python: what is shown, where, and what the log says."""

import io
import logging
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from seglib.progress import in_notebook, shown, shown_stages


class Terminal(io.StringIO):
    """Standard error of a terminal."""

    def isatty(self) -> bool:
        return True


def _on_terminal(monkeypatch: pytest.MonkeyPatch, progress: Any) -> str:
    """What a terminal gets."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    _work(progress)
    return stream.getvalue()


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a kernel displays: IPython is not installed here, its calls are few."""
    pages: list[str] = []
    handle = types.SimpleNamespace(update=pages.append)

    def display(page: str, *, display_id: bool) -> Any:
        assert display_id
        pages.append(page)
        return handle

    shell = types.SimpleNamespace(kernel=object())
    module = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", module)  # type: ignore[arg-type]
    shows = types.SimpleNamespace(display=display, HTML=str)
    monkeypatch.setitem(sys.modules, "IPython.display", shows)  # type: ignore[arg-type]
    return pages


@pytest.fixture(autouse=True)
def unconfigured() -> Iterator[None]:
    """The package's log as a program finds it that has not set it up."""
    logger = logging.getLogger("seglib")
    before = logger.level, logger.handlers
    logger.setLevel(logging.NOTSET)
    logger.handlers = []
    yield
    logger.setLevel(before[0])
    logger.handlers = before[1]


def _work(progress: Any) -> None:
    with shown(progress, "drawing") as tell:
        for done in range(4):
            tell(done, 4)
        logging.getLogger("seglib.training").info("epoch 1/2  <b> 50%")
        tell(4, 4)


def test_a_file_or_a_pipe_gets_no_bar_unless_it_is_asked_for(capsys):
    _work(None)
    assert capsys.readouterr() == ("", "")
    _work(progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "drawing" in err
    assert "4/4" in err


def test_a_terminal_gets_a_bar_with_the_log_above_it(monkeypatch):
    written = _on_terminal(monkeypatch, None)
    assert "drawing" in written
    assert "epoch 1/2  <b> 50%" in written


def test_false_shows_nothing_on_a_terminal(monkeypatch):
    assert _on_terminal(monkeypatch, progress=False) == ""


def test_a_function_is_called_and_nothing_shown(monkeypatch):
    told = []
    assert _on_terminal(monkeypatch, lambda *numbers: told.append(numbers)) == ""
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_notebook_gets_html_that_is_updated_and_ends_as_a_line(displayed):
    assert in_notebook()
    _work(None)
    assert "<progress" in displayed[0]
    assert "drawing 4/4 · 0:0" in displayed[-1]
    assert "<progress" not in displayed[-1]
    assert "epoch 1/2  &lt;b&gt; 50%" in displayed[-1]


def test_a_notebook_shows_where_a_call_has_failed(displayed):
    def fail() -> None:
        with shown(None, "training") as tell:
            tell(3, 9)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert "training 3/9" in displayed[-1]


def test_stages_are_named(displayed):
    with shown_stages(None, "fixing") as tell:
        tell("copying", 1, 2)
    assert "copying 1/2" in displayed[-1]


def test_a_program_that_shows_the_log_itself_gets_no_line_twice(displayed, caplog):
    caplog.set_level(logging.INFO)
    _work(None)
    assert len(caplog.records) == 1
    assert "epoch" not in displayed[-1]


def test_the_log_is_as_it_was_afterwards(displayed):
    logger = logging.getLogger("seglib")
    before = logger.level, logger.propagate, list(logger.handlers)
    _work(progress=True)
    assert (logger.level, logger.propagate, list(logger.handlers)) == before
