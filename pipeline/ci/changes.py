"""Differences between two commits that concern a training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.ci.git import PIN, Git
from seglib.errors import SegError
from seglib.storage.pins import pin_at

CODE = ("seglib/", "components/", "pipeline/dag/training.py")  # what computes results
IMAGE = ("Dockerfile", ".dockerignore", "requirements-uv.lock")
LOCKS = {"cpu": "requirements.lock", "gpu": "requirements-gpu.lock"}
_NAMED = 3  # paths that a reason names


@dataclass(frozen=True)
class Changes:
    """What is new for a training.

    `old_md5` and `new_md5` are the dataset's hashes; empty: there was none.
    """

    old_md5: str
    new_md5: str
    code: tuple[str, ...] = ()
    config: tuple[str, ...] = ()
    image: tuple[str, ...] = ()

    @property
    def data(self) -> bool:
        return self.old_md5 != self.new_md5

    @property
    def reasons(self) -> tuple[str, ...]:
        """A line for each kind of thing that changed; none: nothing did."""
        found = []
        if self.data:
            found.append(f"data: {self.old_md5 or 'none'} → {self.new_md5 or 'none'}")
        for kind in ("code", "config", "image"):
            if paths := getattr(self, kind):
                found.append(f"{kind}: {_listed(paths)}")
        return tuple(found)


def find_changes(
    git: Git, old: str, new: str, *, config: Path | None, variant: str = "cpu"
) -> Changes:
    """Compare two commits.

    Args:
        git: the repository.
        old: the commit before.
        new: the commit now.
        config: the configuration file that the training takes.
        variant: of the image: cpu or gpu.
    """
    paths = git.changed_paths(old, new)
    kept = (git.root / config).resolve() if config else None
    return Changes(
        old_md5=dataset_at(git, old),
        new_md5=dataset_at(git, new),
        code=_among(paths, CODE),
        config=tuple(p for p in paths if (git.root / p).resolve() == kept),
        image=_among(paths, (*IMAGE, LOCKS[variant])),
    )


def dataset_at(git: Git, commit: str) -> str:
    """The hash that data.dvc pins in a commit; empty if the commit has no such file.

    Raises:
        SegError: the file is there, and is no pin of one folder.
    """
    if not git.hashes(commit, [PIN]).strip():
        return ""
    return pin_at(commit, git.root / PIN)


def require_pin(git: Git, commit: str) -> str:
    """The hash that data.dvc pins in a commit.

    Raises:
        SegError: the commit has no data.dvc, or it is no pin of one folder.
    """
    found = dataset_at(git, commit)
    if not found:
        raise SegError(
            f"{commit[:12]} has no {PIN} in {git.root}, so there is nothing to train "
            "on. `dvc add FOLDER` writes it; or name a version with --data-rev. Where "
            "the project is a subfolder of its repository, start in that."
        )
    return found


def _among(paths: Sequence[str], places: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        path
        for path in paths
        if any(
            path.startswith(place) if place.endswith("/") else path == place
            for place in places
        )
    )


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(paths[:_NAMED]) + more
