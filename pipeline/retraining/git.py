"""What retraining asks git: revisions, paths that differ, hashes of files."""

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from seglib.errors import SegError


class Git:
    """One repository, read only."""

    def __init__(self, folder: Path):
        self.root = folder
        self.root = Path(self._ask("rev-parse", "--show-toplevel").strip())

    def commit(self, revision: str) -> str:
        """The full hash of a revision's commit.

        Raises:
            SegError: the repository does not have it.
        """
        found = self.find_commit(revision)
        if not found:
            raise SegError(
                f"{revision}: git does not know this revision. Expected a branch, tag "
                "or commit of this clone; `git fetch --unshallow` brings older ones."
            )
        return found

    def find_commit(self, revision: str) -> str:
        """The full hash of a revision's commit; empty if the clone lacks it."""
        name = f"{revision}^{{commit}}"
        done = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", name)
        return done.stdout.strip() if done.returncode == 0 else ""

    def common_ancestor(self, one: str, other: str) -> str:
        """The newest commit that both stand on; empty if this clone has none."""
        done = self._run("merge-base", one, other)
        return done.stdout.strip() if done.returncode == 0 else ""

    def ancestors(self, commit: str, count: int) -> list[str]:
        """The commit and those that a branch had before it, the newest first."""
        listing = self._ask("rev-list", "--first-parent", f"-n{count}", commit)
        return listing.split()

    def branch_tips(self, count: int) -> list[str]:
        """The newest commits of the branches that this clone knows."""
        return self._ask(
            "for-each-ref",
            f"--count={count}",
            "--sort=-committerdate",
            "--format=%(objectname)",
            "refs/heads",
            "refs/remotes",
        ).split()

    def changed_paths(self, old: str, new: str) -> list[str]:
        """Paths whose files were added, removed or changed."""
        listing = self._ask("diff", "--name-only", "--no-renames", "-z", old, new, "--")
        return [path for path in listing.split("\0") if path]

    def hashes(self, commit: str, paths: Iterable[str]) -> str:
        """Path, mode and hash of every file below the paths, one a line."""
        return self._ask("ls-tree", "-r", "--full-tree", commit, "--", *paths)

    def uncommitted(self) -> list[str]:
        """Tracked files that differ from the commit that is checked out."""
        listing = self._ask("diff", "--name-only", "-z", "HEAD", "--")
        return [path for path in listing.split("\0") if path]

    def _ask(self, *words: str) -> str:
        done = self._run(*words)
        if done.returncode:
            text = done.stderr.strip() or f"exit status {done.returncode}"
            raise SegError(
                f"git {words[0]} in {self.root}: {text} Expected a clone of the "
                "repository with the commits that are compared."
            )
        return done.stdout

    def _run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command: Sequence[str] = ["git", "-c", "core.quotePath=false", *words]
        try:
            return subprocess.run(
                command, cwd=self.root, capture_output=True, text=True, check=False
            )
        except OSError as error:
            raise SegError(
                f"git cannot be run in {self.root} ({error.strerror}). Retraining "
                "compares revisions: install git, or run it in a clone."
            ) from error
