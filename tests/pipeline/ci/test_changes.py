"""What changed between two commits of a real repository."""

import subprocess
from pathlib import Path

import pytest

from pipeline.ci.changes import find_changes, require_pin
from pipeline.ci.git import Git
from seglib.errors import SegError
from tests.pipeline.ci.repositories import CONFIG, commit, new_repository, pin


@pytest.fixture
def git(tmp_path: Path) -> Git:
    return new_repository(tmp_path / "clone")


def _change(git: Git, files: dict[str, str]) -> tuple[str, str]:
    before = git.commit("HEAD")
    return before, commit(git.root, files)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("seglib/training/losses.py", "code"),
        ("components/train_model.py", "code"),
        ("pipeline/dag/training.py", "code"),
        (CONFIG, "config"),
        ("Dockerfile", "image"),
        (".dockerignore", "image"),
        ("requirements.lock", "image"),
    ],
)
def test_a_changed_file_is_a_reason_of_its_kind(git: Git, path: str, kind: str) -> None:
    old, new = _change(git, {path: "other\n", "README.md": "other\n"})
    found = find_changes(git, old, new, config=Path(CONFIG))
    assert found.reasons == (f"{kind}: {path}",)


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "docs/ci.md",
        "tests/training/test_losses.py",
        "pipeline/local/display.py",  # no result depends on it
        "requirements-dev.lock",
        "requirements-gpu.lock",  # the image is the other one
        "configs/other.yaml",
        "other/seglib/training/losses.py",
    ],
)
def test_what_no_training_reads_is_no_reason(git: Git, path: str) -> None:
    old, new = _change(git, {path: "other\n"})
    assert find_changes(git, old, new, config=Path(CONFIG)).reasons == ()


def test_the_image_for_gpus_has_a_lock_file_of_its_own(git: Git) -> None:
    old, new = _change(git, {"requirements-gpu.lock": "a", "requirements.lock": "b"})
    found = find_changes(git, old, new, config=None, variant="gpu")
    assert found.image == ("requirements-gpu.lock",)


def test_data_changed_if_its_hash_did(git: Git) -> None:
    old, new = _change(git, {"data.dvc": pin("b" * 32)})
    found = find_changes(git, old, new, config=None)
    assert found.data
    assert found.reasons == (f"data: {'a' * 32}.dir → {'b' * 32}.dir",)


def test_a_pin_that_is_written_otherwise_is_the_same_data(git: Git) -> None:
    old, new = _change(git, {"data.dvc": "# a remark\n" + pin("a" * 32)})
    assert find_changes(git, old, new, config=None).reasons == ()


def test_a_pin_that_comes_is_a_change_and_one_that_went_is_missed(git: Git) -> None:
    with_pin = git.commit("HEAD")
    (git.root / "data.dvc").unlink()
    without = commit(git.root, {})
    assert find_changes(git, without, with_pin, config=None).old_md5 == ""
    with pytest.raises(SegError, match=r"has no data\.dvc"):
        require_pin(git, without)


def test_many_paths_are_counted(git: Git) -> None:
    old, new = _change(git, {f"seglib/part_{n}.py": "x" for n in range(5)})
    (reason,) = find_changes(git, old, new, config=None).reasons
    assert reason.endswith("seglib/part_2.py and 2 more")


def test_names_that_git_would_quote_are_taken_as_they_are(git: Git) -> None:
    old, new = _change(git, {'seglib/grün "x".py': "x"})
    assert find_changes(git, old, new, config=None).code == ('seglib/grün "x".py',)


def test_an_unknown_revision_is_named(git: Git) -> None:
    with pytest.raises(SegError, match="nowhere: git does not know"):
        git.commit("nowhere")
    assert git.find_commit("0" * 40) == ""
    with pytest.raises(SegError, match="does not know"):
        git.commit("--output=/tmp/x")


def test_a_folder_without_a_repository_is_named(tmp_path: Path) -> None:
    with pytest.raises(SegError, match="git rev-parse"):
        Git(tmp_path)


def test_files_that_are_not_committed_are_found(git: Git) -> None:
    assert git.uncommitted() == []
    (git.root / "README.md").write_text("changed")
    (git.root / "untracked").write_text("is of no matter")
    assert git.uncommitted() == ["README.md"]


def test_the_common_ancestor_of_a_branch_is_where_it_left(git: Git) -> None:
    start = git.commit("HEAD")
    branch = commit(git.root, {"README.md": "branch"})
    subprocess.run(
        ["git", "checkout", "-q", "-b", "side", start], cwd=git.root, check=True
    )
    side = commit(git.root, {"Dockerfile": "side"})
    assert git.common_ancestor(branch, side) == start
    assert git.ancestors(side, 5) == [side, start]
