"""Whether there is anything to train, and why: decided by two commits."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.ci.changes import (
    Changes,
    find_changes,
    require_pin,
)
from pipeline.ci.git import PIN, Git
from seglib.errors import SegError, UsageError, unknown
from seglib.storage.pins import pin_at

_LOOKED_BACK = 30  # commits of a branch
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")  # as a forge names one


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a person, or a workflow's input, asks for.

    Attributes:
        commit: the revision that is trained.
        since: the one before, as the forge tells it; empty: not told.
        config: the configuration file, relative to the project.
        settings: NAME=VALUE each, on top of it.
        data_revision: a revision of data.dvc, or `<md5>.dir`; empty: the commit's own.
        variant: of the image: cpu or gpu.
        force: train whatever has changed, and whatever has been trained.
        attempt: a word for what is forced: the same one gives the same run.
    """

    commit: str = "HEAD"
    since: str = ""
    config: Path | None = None
    settings: tuple[str, ...] = ()
    data_revision: str = ""
    variant: str = "cpu"
    force: bool = False
    attempt: str = ""

    @property
    def again(self) -> str:
        """What tells a forced run apart: 8 hexadecimal digits; else empty."""
        if not (self.force and self.attempt):
            return ""
        return hashlib.sha256(self.attempt.encode()).hexdigest()[:8]

    @property
    def by_hand(self) -> tuple[str, ...]:
        """What is asked for that no commit says."""
        found = []
        if self.force:
            found.append("asked for: --force")
        if self.data_revision:
            found.append(f"asked for: --data-rev {self.data_revision}")
        found += [f"asked for: --set {setting}" for setting in self.settings]
        return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to do with a commit.

    `before` is the commit that it was compared with; empty where none is known.
    """

    commit: str
    before: str
    data_md5: str
    reasons: tuple[str, ...]

    @property
    def is_needed(self) -> bool:
        return bool(self.reasons)


def make_plan(
    git: Git, wish: Wish, *, was_handled: Callable[[str], bool] | None = None
) -> Plan:
    """Decide whether a commit is trained.

    It is compared with the last commit that was handled, so what a push missed, as the
    cluster was away or the job was killed, is made up for by the next. Where none was
    handled yet, it is trained.

    Args:
        git: the repository.
        wish: what is asked for.
        was_handled: whether a commit's training was submitted, or needed none. None:
            nobody can say; then `since` is what it is compared with.

    Raises:
        SegError: an unknown revision, one without data.dvc, a configuration file that
            is not there, or a clone without the commits that are compared.
    """
    require_config(git, wish.config)
    commit = git.commit(wish.commit)
    if wish.data_revision:
        data_md5 = pin_at(wish.data_revision, git.root / PIN)
    else:
        data_md5 = require_pin(git, commit)
    before = _before(git, commit, wish.since, was_handled)
    reasons = wish.by_hand
    if not reasons and before:
        changes = find_changes(
            git, before, commit, config=wish.config, variant=wish.variant
        )
        reasons = changes.reasons
    elif not reasons:
        reasons = (_first(git, wish.since),)
    return Plan(commit=commit, before=before, data_md5=data_md5, reasons=reasons)


def require_config(git: Git, config: Path | None) -> None:
    """Raise a UsageError, with the nearest name, if there is no such file."""
    if config is None or (git.root / config).is_file():
        return
    known = git.tracked("*.yaml", "*.yml")
    problem = unknown("configuration file", str(config), known or ["none"])
    hint = str(problem).partition(" Expected one of:")[0]
    raise UsageError(f"{hint} Expected a YAML file, by its path from {git.root}.")


def changes_of_branch(git: Git, wish: Wish) -> tuple[str, Changes]:
    """What a branch changes, since it left the one that `since` names.

    Returns:
        The commit where it left, and the changes.

    Raises:
        SegError: this clone does not have it.
    """
    require_config(git, wish.config)
    commit = git.commit(wish.commit)
    start = git.common_ancestor(git.commit(wish.since), commit)
    if not start:
        raise SegError(
            f"{wish.since} and {wish.commit} have no common commit in this clone. "
            f"Expected a branch and the one that it left.{git.advice}"
        )
    changes = find_changes(git, start, commit, config=wish.config, variant=wish.variant)
    return start, changes


def _before(
    git: Git, commit: str, since: str, was_handled: Callable[[str], bool] | None
) -> str:
    """The commit to compare with; empty if there is none.

    Raises:
        SegError: a revision that is unknown, and no commit that a forge named.
    """
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
    """Why there is no commit to compare with.

    Raises:
        SegError: the clone is shallow, so nobody can know.
    """
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
