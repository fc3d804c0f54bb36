"""Whether there is anything to train, and why: decided by two commits."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.ci.git import PIN, Git
from seglib.errors import SegError, UsageError, unknown
from seglib.storage.pins import pin_at

CODE = ("seglib/", "components/", "pipeline/dag/training.py")  # what computes results
IMAGE = ("Dockerfile", ".dockerignore", "requirements-uv.lock")
LOCKS = {"cpu": "requirements.lock", "gpu": "requirements-gpu.lock"}
_NAMED = 3  # paths that a reason names
_LOOKED_BACK = 30  # commits of a branch
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")  # as a forge names one


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a person, or a workflow's input, asks for."""

    commit: str = "HEAD"  # the revision that is trained
    since: str = ""  # the one before, as the forge tells it
    config: Path | None = None  # the configuration file, relative to the project
    settings: tuple[str, ...] = ()  # NAME=VALUE each, on top of it
    data_revision: str = ""  # of data.dvc, or `<md5>.dir`; "": the commit's own
    remote: str = ""  # of the dataset; "": DVC's default remote
    variant: str = "cpu"  # of the image: cpu or gpu
    force: bool = False  # train whatever has changed, and whatever has been trained
    attempt: str = ""  # of what is forced: the same word gives the same run
    image: str = ""  # by its digest; "": that of the commit's files
    image_repository: str = ""  # in the registry, where images are built to
    cluster: Path | None = None  # the file of what the steps' pods need
    checkpoints: str = ""  # where the training step keeps its state
    experiment: str = ""  # of KFP; "": the pipeline's name

    @property
    def again(self) -> str:
        """What tells a forced run apart: 8 hexadecimal digits; else empty."""
        if not (self.force and self.attempt):
            return ""
        return hashlib.sha256(self.attempt.encode()).hexdigest()[:8]

    @property
    def by_hand(self) -> tuple[str, ...]:
        """What is asked for that no commit says."""
        found = ["--force"] if self.force else []
        found += [f"--data-rev {self.data_revision}"] if self.data_revision else []
        found += [f"--set {setting}" for setting in self.settings]
        return tuple(f"asked for: {option}" for option in found)


@dataclass(frozen=True)
class Changes:
    """What is new for a training."""

    old_md5: str  # of the dataset; "": there was none
    new_md5: str
    reasons: tuple[str, ...]  # one for each kind of thing that changed


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to do with a commit."""

    commit: str
    before: str  # that it was compared with; "": none is known
    data_md5: str
    reasons: tuple[str, ...]  # none: there is nothing to train


def make_plan(
    git: Git, wish: Wish, *, was_handled: Callable[[str], bool] | None = None
) -> Plan:
    """Decide whether a commit is trained.

    It is compared with the last commit that was handled, so what a push missed, as the
    cluster was away or the job was killed, is made up for by the next. Where none was
    handled yet, it is trained.

    Args:
        was_handled: whether a commit's training was submitted, or needed none. None:
            nobody can say; then `since` is what it is compared with.

    Raises:
        SegError: an unknown revision, one without data.dvc, a configuration file that
            is not there, or a clone without the commits that are compared.
    """
    _require_config(git, wish.config)
    commit = git.commit(wish.commit)
    if wish.data_revision:
        data_md5 = pin_at(wish.data_revision, git.root / PIN)
    elif not (data_md5 := dataset_at(git, commit)):
        raise SegError(
            f"{commit[:12]} has no {PIN} in {git.root}, so there is nothing to train "
            "on. `dvc add FOLDER` writes it; or name a version with --data-rev. Where "
            "the project is a subfolder of its repository, start in that."
        )
    before = _before(git, commit, wish.since, was_handled)
    reasons = wish.by_hand
    if not reasons and before:
        reasons = find_changes(git, before, commit, wish).reasons
    elif not reasons:
        reasons = (_first(git, wish.since),)
    return Plan(commit=commit, before=before, data_md5=data_md5, reasons=reasons)


def changes_of_branch(git: Git, wish: Wish) -> tuple[str, Changes]:
    """Where a branch left the one that `since` names, and what it has changed since.

    Raises:
        SegError: this clone does not have it.
    """
    _require_config(git, wish.config)
    commit = git.commit(wish.commit)
    start = git.common_ancestor(git.commit(wish.since), commit)
    if not start:
        raise SegError(
            f"{wish.since} and {wish.commit} have no common commit in this clone. "
            f"Expected a branch and the one that it left.{git.advice}"
        )
    return start, find_changes(git, start, commit, wish)


def find_changes(git: Git, old: str, new: str, wish: Wish) -> Changes:
    """Compare two commits in what a training depends on."""
    config = (git.root / wish.config).resolve() if wish.config else None
    paths = git.changed_paths(old, new)
    kinds = {
        "code": [path for path in paths if path.startswith(CODE[:2]) or path in CODE],
        "config": [path for path in paths if (git.root / path).resolve() == config],
        "image": [path for path in paths if path in (*IMAGE, LOCKS[wish.variant])],
    }
    old_md5, new_md5 = dataset_at(git, old), dataset_at(git, new)
    reasons = [f"{kind}: {_listed(found)}" for kind, found in kinds.items() if found]
    if old_md5 != new_md5:
        reasons.insert(0, f"data: {old_md5 or 'none'} → {new_md5 or 'none'}")
    return Changes(old_md5, new_md5, tuple(reasons))


def dataset_at(git: Git, commit: str) -> str:
    """The hash that data.dvc pins in a commit; empty if the commit has no such file.

    Raises:
        SegError: the file is there, and is no pin of one folder.
    """
    if not git.hashes(commit, [PIN]).strip():
        return ""
    return pin_at(commit, git.root / PIN)


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(paths[:_NAMED]) + more


def _require_config(git: Git, config: Path | None) -> None:
    """Raise a UsageError, with the nearest name, if there is no such file."""
    if config is None or (git.root / config).is_file():
        return
    known = git.tracked("*.yaml", "*.yml")
    problem = unknown("configuration file", str(config), known or ["none"])
    hint = str(problem).partition(" Expected one of:")[0]
    raise UsageError(f"{hint} Expected a YAML file, by its path from {git.root}.")


def _before(
    git: Git, commit: str, since: str, was_handled: Callable[[str], bool] | None
) -> str:
    """The commit to compare with; empty if there is none."""
    known = ""
    if _COMMIT.fullmatch(since) or git.is_before_the_first(since):
        known = git.find_commit(since)
    elif since:
        known = git.commit(since)
    if was_handled is None:
        return git.common_ancestor(known, commit) if known else ""
    candidates = [*git.ancestors(commit, _LOOKED_BACK), known]
    return next((one for one in candidates if one and was_handled(one)), "")


def _first(git: Git, since: str) -> str:
    """Why there is no commit to compare with; an error if nobody can know."""
    if git.advice:
        raise SegError(
            f"{since or 'An earlier commit'}: not in this clone, so what changed "
            f"cannot be told.{git.advice} To train in any case: --force."
        )
    if not since or not since.strip("0"):
        return "first: no earlier commit is known to compare with"
    if _COMMIT.fullmatch(since) and not git.find_commit(since):
        return (
            f"first: no earlier commit is known to compare with; {since[:12]} is not "
            "in this clone, as after a forced push"
        )
    if git.is_before_the_first(since):
        return f"first: no earlier commit; {since} is before the first one"
    return f"first: no earlier commit that was handled, or is common with {since}"
