"""Whether a commit is trained, and why."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.ci.git import Git
from pipeline.ci.plan import Plan, Wish, make_plan
from seglib.errors import SegError
from tests.pipeline.ci.repositories import CONFIG, commit, new_repository, pin


@pytest.fixture
def git(tmp_path: Path) -> Git:
    return new_repository(tmp_path / "clone")


def _plan(
    git: Git, was_handled: Callable[[str], bool] | None = None, **wish: object
) -> Plan:
    return make_plan(git, Wish(config=Path(CONFIG), **wish), was_handled=was_handled)


def test_what_a_push_changed_is_why_it_is_trained(git: Git) -> None:
    before = git.commit("HEAD")
    commit(git.root, {"README.md": "x"})
    now = commit(git.root, {"data.dvc": pin("b" * 32)})
    plan = _plan(git, since=before)
    assert (plan.commit, plan.before) == (now, before)
    assert plan.data_md5 == "b" * 32 + ".dir"
    assert plan.reasons == (f"data: {'a' * 32}.dir → {'b' * 32}.dir",)


def test_a_push_that_changes_nothing_of_a_training_needs_none(git: Git) -> None:
    before = git.commit("HEAD")
    commit(git.root, {"README.md": "x"})
    assert not _plan(git, since=before).is_needed


@pytest.mark.parametrize("since", ["", "0" * 40, "f" * 40])
def test_a_first_push_is_trained(git: Git, since: str) -> None:
    (reason,) = _plan(git, since=since).reasons
    assert reason.startswith("first: no earlier commit")


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
    assert not _plan(git, {now}.__contains__, since=before).is_needed
    assert _plan(git, {now}.__contains__, since=before, force=True).is_needed


def test_where_no_commit_was_handled_yet_the_newest_is_trained(git: Git) -> None:
    before = git.commit("HEAD")
    commit(git.root, {"README.md": "x"})
    (reason,) = _plan(git, lambda _: False, since=before).reasons
    assert reason.startswith("first: no earlier commit")


def test_a_push_of_many_commits_is_compared_with_where_it_began(git: Git) -> None:
    before = git.commit("HEAD")
    for number in range(32):
        commit(git.root, {"README.md": f"{number}"})
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


def test_a_commit_without_a_pin_cannot_be_trained(git: Git) -> None:
    (git.root / "data.dvc").unlink()
    commit(git.root, {})
    with pytest.raises(SegError, match=r"has no data\.dvc"):
        _plan(git)
