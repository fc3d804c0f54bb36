"""Fixture: the command line of seglib, run in the process of the test.

A plugin of pytest (tests/conftest.py).
"""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from seglib.cli.main import main


@pytest.fixture
def seglib(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> Callable[..., tuple[int, str]]:
    """Run a command; gives its exit status and what it printed, on one line."""

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["seglib", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as error:
            code = int(error.code or 0)
        printed = capsys.readouterr()
        return code, " ".join((printed.out + printed.err).split())

    return run
