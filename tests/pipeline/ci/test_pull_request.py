"""A pull request is told what it does to the dataset: by the command that CI calls."""

import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipeline.__main__ import app
from pipeline.ci.git import Git
from seglib.errors import SegError
from tests.fakes.forge_server import LOGIN, REPOSITORY, TOKEN, Fault, ForgeServer
from tests.pipeline.ci.repositories import commit, new_repository, pin, push

_OLD = {"train_images/a.png": "a", "train_segmentation/a.png": "mask of a"}
_NEW = {**_OLD, "train_images/b.png": "b", "train_segmentation/b.png": "mask of b"}
_PLACE = "issues/7"


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """A branch `topic` in which data.dvc pins another version than in `main`."""
    old, new = (push(tmp_path / "remote", files) for files in (_OLD, _NEW))
    remote = "[core]\n    remote = here\n['remote \"here\"']\n    url = ../../remote\n"
    git = new_repository(
        tmp_path / "clone", {".dvc/config": remote, "data.dvc": pin(old)}
    )
    _checkout(git, "-b", "topic")
    commit(git.root, {"data.dvc": pin(new), "README.md": "x"})
    monkeypatch.chdir(git.root)
    for name in ("GITHUB_TOKEN", "GH_TOKEN", "GITHUB_REPOSITORY", "GITHUB_API_URL"):
        monkeypatch.delenv(name, raising=False)
    return git


@pytest.fixture
def forge(forge_server: ForgeServer, monkeypatch: pytest.MonkeyPatch) -> ForgeServer:
    monkeypatch.setenv("GITHUB_API_URL", forge_server.url)
    monkeypatch.setenv("GITHUB_REPOSITORY", REPOSITORY)
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    return forge_server


def _checkout(git: Git, *words: str) -> None:
    subprocess.run(["git", "checkout", "--quiet", *words], cwd=git.root, check=True)


def _retrain(*words: str) -> Result:
    command = ["retrain", "--pull-request", "7", "--since", "main", *words]
    return CliRunner().invoke(app, command)


def test_a_changed_pin_is_told_in_one_comment(clone: Git, forge: ForgeServer) -> None:
    first = _retrain()
    assert first.exit_code == 0, first.output
    assert "pull request 7: comment created" in first.output
    (body,) = forge.bodies(_PLACE)
    assert body.startswith("<!-- seglib:dataset-diff -->\n**Dataset:**")
    assert "| samples added | 1 |" in body
    assert "comment unchanged" in _retrain().output
    newer = push(clone.root.parent / "remote", {**_NEW, "train_images/c.png": "c"})
    commit(clone.root, {"data.dvc": pin(newer)})
    assert "comment updated" in _retrain().output
    (body,) = forge.bodies(_PLACE)
    assert "| samples added | 2 |" in body


def test_main_going_on_is_no_change_of_the_branch(
    clone: Git, forge: ForgeServer
) -> None:
    _checkout(clone, "main")
    commit(clone.root, {"data.dvc": pin("f" * 32)})
    _checkout(clone, "topic")
    assert _retrain().exit_code == 0
    assert "f" * 32 not in forge.bodies(_PLACE)[0]


def test_a_change_that_was_taken_back_is_told_where_it_was_told(
    clone: Git, forge: ForgeServer
) -> None:
    _retrain()
    old = push(clone.root.parent / "remote", _OLD)
    commit(clone.root, {"data.dvc": pin(old)})
    assert _retrain().exit_code == 0
    (body,) = forge.bodies(_PLACE)
    assert "does not change it any more" in body


def test_a_branch_without_other_data_gets_no_comment(
    clone: Git, forge: ForgeServer
) -> None:
    _checkout(clone, "-b", "text", "main")
    commit(clone.root, {"README.md": "y"})
    done = _retrain()
    assert done.exit_code == 0
    assert "nothing that a training depends on" in done.output
    assert forge.bodies(_PLACE) == []


def test_a_version_that_nobody_pushed_is_told_and_fails(
    clone: Git, forge: ForgeServer
) -> None:
    files = {**_NEW, "train_images/c`@all`.png": "c"}
    remote = clone.root.parent / "remote"
    new = push(remote, files, without="train_images/c`@all`.png")
    commit(clone.root, {"data.dvc": pin(new)})
    done = _retrain()
    assert isinstance(done.exception, SegError)
    assert "1 objects" in str(done.exception)
    (body,) = forge.bodies(_PLACE)
    assert "**1 objects are not on the remote**" in body
    assert "- `train_images/c@all.png (" in body  # no way out of the code's quotes


def test_a_first_dataset_has_nothing_to_be_compared_with(
    clone: Git, forge: ForgeServer
) -> None:
    _checkout(clone, "main")
    (clone.root / "data.dvc").unlink()
    commit(clone.root, {})
    _checkout(clone, "-b", "first")
    commit(clone.root, {"data.dvc": pin(push(clone.root.parent / "remote", _NEW))})
    assert _retrain().exit_code == 0
    assert "4 files, all of them on the remote" in forge.bodies(_PLACE)[0]


def test_without_a_forge_the_markdown_is_printed(clone: Git) -> None:
    done = _retrain()
    assert done.exit_code == 0, done.output
    assert "no GITHUB_TOKEN and GITHUB_REPOSITORY in the environment" in done.output
    assert "| samples added | 1 |" in done.output


def test_a_token_that_may_not_write_has_the_markdown_printed(
    clone: Git, forge: ForgeServer
) -> None:
    """As that of a pull request from a fork."""
    forge.permissions.clear()
    done = _retrain()
    assert done.exit_code == 0, done.output
    assert "printed here instead" in done.output
    assert "Resource not accessible" in done.output
    assert "| samples added | 1 |" in done.output


def test_a_clone_without_the_other_branch_says_so(clone: Git) -> None:
    done = CliRunner().invoke(
        app, ["retrain", "--pull-request", "7", "--since", "origin/main"]
    )
    assert isinstance(done.exception, SegError)
    assert "origin/main: git does not know" in str(done.exception)


def test_the_token_is_in_nothing_that_is_written(
    clone: Git, forge: ForgeServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    forge.faults += [Fault("POST", "comments", 500), Fault("GET", "comments", 502)]
    forge.add_comment(_PLACE, "another", login=LOGIN)
    lost, done = _retrain(), _retrain()
    assert (lost.exit_code, done.exit_code) == (1, 0), done.output
    written = [str(lost.exception), lost.output, done.output, caplog.text]
    written += forge.bodies(_PLACE)
    written += [
        path.read_bytes().decode("utf-8", "replace")
        for path in clone.root.parent.rglob("*")
        if path.is_file()
    ]
    assert not [text for text in written if TOKEN in text]
