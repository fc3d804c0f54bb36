"""The image of a commit: of the same inputs there is one."""

import json
import os
import shutil
from pathlib import Path

import pytest

from pipeline.ci.git import Git
from pipeline.ci.image import inputs_hash, provide_image
from seglib.errors import SegError, UsageError
from tests.pipeline.ci.repositories import commit, new_repository
from tests.pipeline.ci.world import IMAGES, put_docker


@pytest.fixture
def git(tmp_path: Path) -> Git:
    return new_repository(tmp_path / "clone")


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = put_docker(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(path.parent), prepend=os.pathsep)
    return path


def _calls(docker: Path) -> list[list[str]]:
    lines = (docker.parent / "calls").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_an_image_is_built_once_and_then_found(git: Git, docker: Path) -> None:
    head = git.commit("HEAD")
    first, second = (provide_image(git, head, repository=IMAGES) for _ in range(2))
    assert first.built
    assert not second.built
    assert first.reference == second.reference
    assert first.reference.startswith(f"{IMAGES}@sha256:")
    (built,) = [words for words in _calls(docker) if words[1] == "build"]
    assert f"COMMIT={head}" in built
    assert "VARIANT=cpu" in built
    assert built[-1] == str(git.root)


@pytest.mark.parametrize(
    ("path", "is_input"),
    [
        ("README.md", False),
        ("tests/a.py", False),
        ("data.dvc", False),
        ("Dockerfile", True),
        ("requirements.lock", True),
        ("requirements-uv.lock", True),
        ("seglib/training/losses.py", True),
        ("seglib/new.py", True),
    ],
)
def test_what_goes_into_the_image_makes_another_one(
    git: Git, path: str, is_input: bool
) -> None:
    before = git.commit("HEAD")
    after = commit(git.root, {path: "other"})
    is_same = inputs_hash(git, before, "cpu") == inputs_hash(git, after, "cpu")
    assert is_same != is_input


def test_the_inputs_are_what_the_dockerfile_copies(repository: Path) -> None:
    text = (repository / "Dockerfile").read_text(encoding="utf-8")
    copied = {
        word
        for line in text.splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for word in line.split()[1:-1]
    }
    known = {"pyproject.toml", "seglib"}
    locks = {"requirements.lock", "requirements-gpu.lock", "requirements-uv.lock"}
    assert copied == known | locks


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("fails", r"exit status 1.*docker login"),
        ("forgets", "gives no digest"),
        ("", r"cannot be run.*--image"),  # there is no docker
    ],
)
def test_a_build_that_leaves_no_image_says_why(
    git: Git,
    docker: Path,
    fault: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if fault:
        (docker.parent / fault).touch()
    else:
        docker.unlink()
        (docker.parent / "git").symlink_to(str(shutil.which("git")))
        monkeypatch.setenv("PATH", str(docker.parent))
    with pytest.raises(SegError, match=message):
        provide_image(git, git.commit("HEAD"), repository=IMAGES)


@pytest.mark.parametrize(
    "name", ["Team/Seglib", "seglib:tag", "team/seglib:tag", "--push", ""]
)
def test_a_repository_that_is_none_is_refused(git: Git, name: str) -> None:
    with pytest.raises(UsageError, match="without a tag"):
        provide_image(git, git.commit("HEAD"), repository=name)
