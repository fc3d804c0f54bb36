"""Whether there is anything to train, and why: decided by two commits."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.retraining.changes import (
    PIN,
    Changes,
    find_changes,
    require_pin,
)
from pipeline.retraining.git import Git
from seglib.errors import SegError
from seglib.store import pin_at

_LOOKED_BACK = 30  # commits of a branch


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a person, or a workflow's input, asks for.

    Attributes:
        commit: the revision that is trained.
        since: the one before, as the forge tells it; empty: not told.
        config: the configuration file, relative to the repository.
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
        SegError: an unknown revision, or one without data.dvc.
    """
    commit = git.commit(wish.commit)
    if wish.data_revision:
        data_md5 = pin_at(wish.data_revision, git.root / PIN)
    else:
        data_md5 = require_pin(git, commit)
    before = _before(git, commit, wish.since, was_handled)
    return Plan(
        commit=commit,
        before=before,
        data_md5=data_md5,
        reasons=wish.by_hand or _reasons(git, before, commit, wish),
    )


def changes_of_branch(git: Git, wish: Wish) -> tuple[str, Changes]:
    """What a branch changes, since it left the one that `since` names.

    Returns:
        The commit where it left, and the changes.

    Raises:
        SegError: this clone does not have it.
    """
    commit = git.commit(wish.commit)
    start = git.common_ancestor(git.commit(wish.since), commit)
    if not start:
        raise SegError(
            f"{wish.since} and {wish.commit} have no common commit in this clone. "
            "Expected the whole history: `git fetch --unshallow` brings it."
        )
    changes = find_changes(git, start, commit, config=wish.config, variant=wish.variant)
    return start, changes


def _before(
    git: Git, commit: str, since: str, was_handled: Callable[[str], bool] | None
) -> str:
    known = git.find_commit(since) if since else ""
    if was_handled is None:
        return git.common_ancestor(known, commit) if known else ""
    candidates = [*git.ancestors(commit, _LOOKED_BACK), known]
    return next((one for one in candidates if one and was_handled(one)), "")


def _reasons(git: Git, before: str, commit: str, wish: Wish) -> tuple[str, ...]:
    if not before:
        return ("first: no earlier commit is known to compare with",)
    changes = find_changes(
        git, before, commit, config=wish.config, variant=wish.variant
    )
    return changes.reasons
