"""Git queries for retraining: revisions, changed paths, hashes of files."""

import difflib
import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from seglib.errors import SegError

PIN = "data.dvc"
_BEFORE = re.compile(r"(?P<start>.+?)(~\d*|\^1?)+")  # such as HEAD~2, main^


class Git:
    """One project in its repository, read only. Paths are relative to the project.

    `root` is the project's folder: the nearest one with a data.dvc, from a folder up
    to the top of its repository; without one, the folder itself.
    """

    def __init__(self, folder: Path):
        self.root = folder
        self._top = Path(self._ask("rev-parse", "--show-toplevel").strip())
        here = folder.resolve()
        above = [here, *here.parents]
        inside = above[: above.index(self._top) + 1] if self._top in above else []
        places = (place for place in inside if (place / PIN).is_file())
        self.root = next(places, here)

    def commit(self, revision: str) -> str:
        """The full hash of a revision's commit.

        Raises:
            SegError: the repository does not have it.
        """
        found = self.find_commit(revision)
        if not found:
            names = self._ask("for-each-ref", "--format=%(refname:short)").split()
            near = difflib.get_close_matches(revision, names, n=1)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            raise SegError(
                f"{revision}: git does not know this revision.{hint} Expected a "
                f"branch, tag or commit of this clone.{self.advice}"
            )
        return found

    def find_commit(self, revision: str) -> str:
        """The full hash of a revision's commit; empty if the clone lacks it."""
        name = f"{revision}^{{commit}}"
        done = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", name)
        return done.stdout.strip() if done.returncode == 0 else ""

    @property
    def advice(self) -> str:
        """What to do in a clone without its older commits; empty in a whole one."""
        if self._ask("rev-parse", "--is-shallow-repository").strip() != "true":
            return ""
        return (
            " The clone is shallow: older commits are not in it. `fetch-depth: 0` of "
            "actions/checkout, or `git fetch --unshallow`, brings them."
        )

    def is_before_the_first(self, revision: str) -> bool:
        """Whether a revision such as HEAD~1 lies before the first commit of all."""
        found = _BEFORE.fullmatch(revision)
        return bool(found and self.find_commit(found["start"]) and not self.advice)

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
        """Paths whose files were added, removed or changed, in all of the repository.

        Those outside of the project begin with `../`.
        """
        paths = self._paths("diff", "--name-only", "--no-renames", "-z", old, new, "--")
        return [os.path.relpath(self._top / path, self.root) for path in paths]

    def hashes(self, commit: str, paths: Iterable[str]) -> str:
        """Path, mode and hash of every file below the paths, one a line."""
        return self._ask("ls-tree", "-r", commit, "--", *paths)

    def uncommitted(self) -> list[str]:
        """The project's tracked files that differ from the commit checked out."""
        return self._paths("diff", "--name-only", "--relative", "-z", "HEAD", "--")

    def tracked(self, *patterns: str) -> list[str]:
        """The project's files, as they are checked out."""
        return self._paths("ls-files", "-z", "--", *patterns)

    def _paths(self, *words: str) -> list[str]:
        return [path for path in self._ask(*words).split("\0") if path]

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
