"""What changed between two commits of a real repository, and what is trained."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.ci.git import Git
from pipeline.ci.plan import Plan, Wish, find_changes, make_plan
from seglib.errors import SegError
from tests.pipeline.ci.repositories import CONFIG, commit, new_repository, pin

WISH = Wish(config=Path(CONFIG))


@pytest.fixture
def git(tmp_path: Path) -> Git:
    return new_repository(tmp_path / "clone")


def _reasons(git: Git, files: dict[str, str], wish: Wish = WISH) -> tuple[str, ...]:
    """Why a commit that changes these files is trained."""
    before = git.commit("HEAD")
    return find_changes(git, before, commit(git.root, files), wish).reasons


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("seglib/training/losses.py", "code"),
        ("components/train_model.py", "code"),
        ("pipeline/dag/training.py", "code"),
        ('seglib/grün "x".py', "code"),  # which git would quote
        (CONFIG, "config"),
        ("Dockerfile", "image"),
        (".dockerignore", "image"),
        ("requirements.lock", "image"),
    ],
)
def test_a_changed_file_is_a_reason_of_its_kind(git: Git, path: str, kind: str) -> None:
    found = _reasons(git, {path: "other\n", "README.md": "other\n"})
    assert found == (f"{kind}: {path}",)


def test_what_no_training_reads_is_no_reason(git: Git) -> None:
    paths = (
        "README.md",
        "docs/ci.md",
        "tests/training/test_losses.py",
        "pipeline/local/display.py",  # no result depends on it
        "requirements-dev.lock",
        "requirements-gpu.lock",  # the image is the other one
        "configs/other.yaml",
        "other/seglib/training/losses.py",
    )
    pinned = {"data.dvc": "# written otherwise\n" + pin("a" * 32)}
    assert _reasons(git, dict.fromkeys(paths, "other\n") | pinned) == ()


def test_the_image_for_gpus_has_a_lock_file_of_its_own(git: Git) -> None:
    files = {"requirements-gpu.lock": "a", "requirements.lock": "b"}
    found = _reasons(git, files, Wish(variant="gpu"))
    assert found == ("image: requirements-gpu.lock",)


def test_many_paths_are_counted(git: Git) -> None:
    (reason,) = _reasons(git, {f"seglib/part_{n}.py": "x" for n in range(5)})
    assert reason.endswith("seglib/part_2.py and 2 more")


def test_a_pin_that_comes_is_a_change_and_one_that_went_is_missed(git: Git) -> None:
    with_pin = git.commit("HEAD")
    (git.root / "data.dvc").unlink()
    without = commit(git.root, {})
    assert find_changes(git, without, with_pin, WISH).old_md5 == ""
    with pytest.raises(SegError, match=r"has no data\.dvc"):
        _plan(git)


def test_an_unknown_revision_is_named(git: Git, tmp_path: Path) -> None:
    for name in ("nowhere", "--output=/tmp/x"):
        with pytest.raises(SegError, match=f"{name}: git does not know"):
            git.commit(name)
    assert git.find_commit("0" * 40) == ""
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
    words = ["git", "checkout", "-q", "-b", "side", start]
    subprocess.run(words, cwd=git.root, check=True)
    side = commit(git.root, {"Dockerfile": "side"})
    assert git.common_ancestor(branch, side) == start
    assert git.ancestors(side, 5) == [side, start]


def _plan(
    git: Git, was_handled: Callable[[str], bool] | None = None, **wish: object
) -> Plan:
    return make_plan(git, Wish(config=Path(CONFIG), **wish), was_handled=was_handled)


def test_what_a_push_changed_is_why_it_is_trained(git: Git) -> None:
    before = git.commit("HEAD")
    unlike = commit(git.root, {"README.md": "x"})
    assert not _plan(git, since=before).reasons
    now = commit(git.root, {"data.dvc": pin("b" * 32)})
    plan = _plan(git, since=before)
    assert (plan.commit, plan.before) == (now, before)
    assert plan.data_md5 == "b" * 32 + ".dir"
    assert plan.reasons == (f"data: {'a' * 32}.dir → {'b' * 32}.dir",)
    assert _plan(git, since=unlike).reasons == plan.reasons


def test_what_a_push_missed_is_made_up_for_by_the_next(git: Git) -> None:
    handled = git.commit("HEAD")
    missed = commit(git.root, {"Dockerfile": "FROM other\n"})
    commit(git.root, {"README.md": "x"})
    plan = _plan(git, {handled}.__contains__, since=missed)
    assert plan.before == handled
    assert plan.reasons == ("image: Dockerfile",)


def test_a_commit_that_was_handled_is_not_trained_again(git: Git) -> None:
    before = git.commit("HEAD")
    now = commit(git.root, {"Dockerfile": "FROM other\n"})
    assert not _plan(git, {now}.__contains__, since=before).reasons
    assert _plan(git, {now}.__contains__, since=before, force=True).reasons


def test_where_no_commit_was_handled_yet_the_newest_is_trained(git: Git) -> None:
    before = git.commit("HEAD")
    commit(git.root, {"README.md": "x"})
    (reason,) = _plan(git, lambda _: False, since=before).reasons
    assert reason.startswith("first: no earlier commit")


def test_a_push_of_many_commits_is_compared_with_where_it_began(git: Git) -> None:
    before = git.commit("HEAD")
    words = ["git", "commit", "--quiet", "--allow-empty", "--message", "x"]
    for _ in range(32):
        subprocess.run(words, cwd=git.root, check=True)
    assert _plan(git, {before}.__contains__, since=before).before == before


def test_what_is_asked_for_by_hand_is_why_it_is_trained(git: Git) -> None:
    head = git.commit("HEAD")
    other = commit(git.root, {"data.dvc": pin("c" * 32)})
    plan = _plan(
        git, since=other, data_revision=head, settings=("epochs=3",), force=True
    )
    assert plan.reasons == (
        "asked for: --force",
        f"asked for: --data-rev {head}",
        "asked for: --set epochs=3",
    )
    assert plan.data_md5 == "a" * 32 + ".dir"
    assert _plan(git, data_revision="d" * 32 + ".dir").data_md5 == "d" * 32 + ".dir"
