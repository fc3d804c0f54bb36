"""Clones as CI has them: shallow, with a forced branch, of a larger repository."""

import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.__main__ import app
from pipeline.ci.git import Git
from pipeline.ci.image import inputs_hash
from pipeline.ci.plan import Plan, Wish, changes_of_branch, find_changes, make_plan
from seglib.errors import SegError, UsageError
from tests.pipeline.ci.repositories import CONFIG, commit, new_repository, pin

_ZEROS = "0" * 40  # what GitHub names before the first push of a branch
_PROJECT = {
    "seg/data.dvc": pin("a" * 32),
    "seg/seglib/training/losses.py": "\n",
    "seg/Dockerfile": "FROM scratch\n",
    f"seg/{CONFIG}": "train: {epochs: 1}\n",
    "other/seglib/training/losses.py": "\n",
    "data.txt": "other\n",
}


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """Two commits, which differ in nothing that a training depends on."""
    git = new_repository(tmp_path / "clone")
    commit(git.root, {"README.md": "x"})
    return git


@pytest.fixture
def shallow(git: Git, tmp_path: Path) -> Git:
    _git("clone", "--quiet", "--depth", "1", f"file://{git.root}", tmp_path / "shallow")
    return Git(tmp_path / "shallow")


@pytest.fixture
def monorepo(tmp_path: Path) -> Git:
    """The project is the folder `seg` of its repository."""
    top = new_repository(tmp_path / "mono", _PROJECT).root
    return Git(top / "seg")


def _git(*words: object) -> None:
    subprocess.run(["git", *map(str, words)], check=True, capture_output=True)


def _plan(git: Git, **wish: object) -> Plan:
    return make_plan(git, Wish(config=Path(CONFIG), **wish))


@pytest.mark.parametrize("since", ["HEAD~1", "f" * 40, _ZEROS, ""])
def test_a_shallow_clone_that_lacks_a_commit_says_what_brings_it(
    shallow: Git, since: str
) -> None:
    with pytest.raises(SegError, match=r"clone is shallow.*fetch-depth: 0"):
        _plan(shallow, since=since)


def test_a_shallow_clone_is_enough_where_the_commit_was_handled_or_it_is_forced(
    shallow: Git,
) -> None:
    head = shallow.commit("HEAD")
    assert not make_plan(shallow, Wish(), was_handled={head}.__contains__).reasons
    assert _plan(shallow, force=True).reasons == ("asked for: --force",)


@pytest.mark.parametrize(
    ("since", "hint"), [("HEAD~l", ""), ("mian", "Did you mean `main`"), ("abc123", "")]
)
def test_an_unknown_revision_is_an_error(git: Git, since: str, hint: str) -> None:
    message = f"{since}: git does not know this revision.*{hint}"
    with pytest.raises(SegError, match=message):
        _plan(git, since=since)
    with pytest.raises(SegError, match=message):
        make_plan(git, Wish(since=since), was_handled=lambda _: False)
    with pytest.raises(SegError, match=message):
        changes_of_branch(git, Wish(since=since))


@pytest.mark.parametrize(
    ("since", "said"),
    [
        ("", "no earlier commit is known"),
        (_ZEROS, "no earlier commit is known"),
        ("f" * 40, "ffffffffffff is not in this clone, as after a forced push"),
        ("HEAD~2", "HEAD~2 is before the first one"),
        ("main~1^", "main~1^ is before the first one"),
    ],
)
def test_a_commit_without_an_earlier_one_is_trained_and_it_says_why(
    git: Git, since: str, said: str
) -> None:
    (reason,) = _plan(git, since=since).reasons
    assert reason.startswith("first: no earlier commit")
    assert said in reason


def test_a_branch_of_another_history_is_named(git: Git) -> None:
    _git("-C", git.root, "checkout", "--quiet", "--orphan", "other")
    commit(git.root, {"README.md": "y"})
    (reason,) = _plan(git, since="main").reasons
    assert reason.endswith("common with main")


def test_a_detached_head_and_a_linked_worktree_are_clones_like_others(
    git: Git, tmp_path: Path
) -> None:
    _git("-C", git.root, "worktree", "add", "--detach", tmp_path / "linked", "HEAD")
    linked = Git(tmp_path / "linked")
    assert linked.root == tmp_path / "linked"
    plan = _plan(linked, since="HEAD~1")
    assert (plan.before, plan.reasons) == (git.commit("HEAD~1"), ())


@pytest.mark.parametrize("name", ["configs/tria.yaml", "trial.yaml"])
def test_a_configuration_file_that_is_not_there_is_named_with_the_nearest(
    git: Git, name: str
) -> None:
    for ask in (make_plan, changes_of_branch):
        with pytest.raises(UsageError, match=f"`{name}`. Did you mean `{CONFIG}`"):
            ask(git, Wish(config=Path(name), since="HEAD~1"))


def test_a_project_in_a_subfolder_has_its_pin_code_config_and_image(
    monorepo: Git,
) -> None:
    before = monorepo.commit("HEAD")
    assert _plan(monorepo, since=before).data_md5 == "a" * 32 + ".dir"
    image = inputs_hash(monorepo, before, "cpu")
    now = commit(
        monorepo.root,
        {
            "data.dvc": pin("b" * 32),
            "seglib/training/losses.py": "new\n",
            CONFIG: "train: {epochs: 2}\n",
            "Dockerfile": "FROM other\n",
        },
    )
    assert _plan(monorepo, since=before).reasons == (
        f"data: {'a' * 32}.dir → {'b' * 32}.dir",
        "code: seglib/training/losses.py",
        f"config: {CONFIG}",
        "image: Dockerfile",
    )
    assert inputs_hash(monorepo, now, "cpu") != image


def test_what_lies_beside_a_project_in_a_subfolder_is_not_its_own(
    monorepo: Git,
) -> None:
    before = monorepo.commit("HEAD")
    image = inputs_hash(monorepo, before, "cpu")
    commit(
        monorepo.root.parent, {"other/seglib/training/losses.py": "x", "data.dvc": "x"}
    )
    assert not _plan(monorepo, since=before).reasons
    assert inputs_hash(monorepo, "HEAD", "cpu") == image
    (monorepo.root.parent / "data.txt").write_text("x")
    assert monorepo.uncommitted() == []
    (monorepo.root / "Dockerfile").write_text("x")
    assert monorepo.uncommitted() == ["Dockerfile"]


def test_a_configuration_file_may_lie_beside_the_project(monorepo: Git) -> None:
    config = Path("../shared.yaml")
    before = monorepo.commit("HEAD")
    now = commit(monorepo.root.parent, {"shared.yaml": "train: {epochs: 3}\n"})
    assert find_changes(monorepo, before, now, Wish(config=config)).reasons == (
        f"config: {config}",
    )


def test_the_command_starts_anywhere_in_the_project(
    monorepo: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(monorepo.root / "seglib")
    words = ["retrain", "--since", "HEAD", "--config", CONFIG, "--dry-run"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "nothing that a training depends on has changed" in done.output


def test_above_the_project_it_says_where_to_start(monorepo: Git) -> None:
    top = Git(monorepo.root.parent)
    with pytest.raises(SegError, match=r"has no data\.dvc in .*start in that"):
        make_plan(top, Wish())
