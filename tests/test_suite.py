"""The suite itself: right on a busy machine, and it shows the error that it found."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.waiting import wait_until

# Slow networks, and a kill at a random moment.
SLEEPERS = {
    Path(name)
    for name in (
        "fakes/s3_proxy.py",
        "storage/test_direct.py",
        "steps/test_resume.py",
        "acceptance/ground.py",  # which looks at a real cluster again and again
        "acceptance/probe.py",
    )
}


def test_a_property_may_take_any_time():
    assert settings().deadline is None


def test_a_property_with_large_arguments_fails_with_its_own_error():
    @given(number=st.integers(), large=st.just("x" * 100_000))
    def property_(number: int, large: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        property_()


def test_waiting_ends_with_the_process_and_shows_its_log(tmp_path):
    log = tmp_path / "log"
    log.write_text("no port is free")
    with (
        subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]) as process,
        pytest.raises(RuntimeError, match=r"exit status 3.\nno port is free"),
    ):
        wait_until(lambda: False, process=process, log=log)


def test_no_test_depends_on_the_clock(repository):
    folder = repository / "tests"
    found = [
        f"{path.relative_to(folder)}:{line}"
        for path in sorted(folder.rglob("*.py"))
        for line in _clocks(path, may_sleep=path.relative_to(folder) in SLEEPERS)
    ]
    assert not found, "Wait by `benchmarks.waiting`, with HANG_S as the only limit."


def _clocks(path: Path, *, may_sleep: bool) -> Iterator[int]:
    """Lines that sleep, or that wait for some number of seconds."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        limits = [k.value for k in node.keywords if k.arg in ("timeout", "deadline")]
        limits += node.args if name in ("join", "result", "wait") else []
        if (name == "sleep" and not may_sleep) or any(map(_is_number, limits)):
            yield node.lineno


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)
