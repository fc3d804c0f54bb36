"""Reports a run's verdict on its commit: one status and one comment."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pipeline.ci.git import Git
from pipeline.ci.github import GitHub, State, Status, commit_page
from pipeline.ci.run_report import described, find_report
from seglib.errors import SegError

if TYPE_CHECKING:
    from pipeline.kfp.connection import KfpServer

CONTEXT = "seglib/retrain"
_KEY = "retrain"
_LOOKED_BACK = 20  # commits of this branch
_BRANCHES = 20  # whose tips are looked at, too
_COMMIT = re.compile(r"[0-9a-f]{40}")
_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Waiting(NamedTuple):
    """A commit and the run that it waits for."""

    commit: str
    run_id: str


@dataclass(frozen=True, kw_only=True)
class Reporter:
    """Reports runs of a cluster on their commits."""

    cluster: "KfpServer"
    forge: GitHub | None  # None: the Markdown is said instead
    tracking_uri: str
    say: Callable[[str], None]  # is told what happens

    def find(self, word: str, git: Git | None) -> Waiting:
        """The commit and run that a word names: a run's id or name, or a commit."""
        from pipeline.kfp.runs import find_run

        commit = git.find_commit(word) if git and not _RUN_ID.fullmatch(word) else ""
        if commit or _COMMIT.fullmatch(word):
            commit = commit or word
            status = self.forge.status(commit, CONTEXT) if self.forge else None
            run_id = run_in(status) if status else ""
            return Waiting(commit, run_id or _newest_run(self.cluster, commit))
        run = find_run(self.cluster, word)
        commit = described(run).get("commit", "")
        if not _COMMIT.fullmatch(commit):
            raise SegError(
                f"{run.name}: its description names no commit that could be told. "
                "Expected a run of `python -m pipeline retrain`. Received: "
                f"commit={commit!r}."
            )
        return Waiting(commit, run.run_id)

    def report(self, waiting: Waiting) -> None:
        """Report the outcome of a run on its commit; a repetition changes nothing."""
        from pipeline.kfp.failures import ClusterError
        from pipeline.kfp.runs import get_run, in_its_place

        commit, run_id = waiting
        try:
            run = get_run(self.cluster, run_id)
            run = in_its_place(self.cluster, run) or run
        except ClusterError as error:
            if error.kind != "missing":
                raise
            text = f"the run {run_id} is not on the cluster any more"
            self._set_status(commit, State.error, text)
            self.say(f"{commit[:12]}  {text}")
            return
        url = self.cluster.url("runs", "details", run.run_id)
        if not run.finished:
            self._set_status(commit, State.pending, f"training: {run.name}", url)
            state = run.state.lower()
            self.say(f"{commit[:12]}  {run.name}: {state}, not ended yet")
            return
        report = find_report(run, url, tracking_uri=self.tracking_uri)
        if report is None:
            text = "ended, but MLflow has no row of it yet"
            self.say(f"{commit[:12]}  {run.name}: {text}")
            return
        state, text = report.status
        told = f"{commit[:12]}  {state}: {text}"
        if self.forge is None:
            self.say(f"{told}\n\n{report.to_markdown()}")
            return
        place = commit_page(commit)
        done = self.forge.keep_comment(place, _KEY, report.to_markdown())
        # The status comes last: as long as it waits, this is done again.
        self._set_status(commit, state, text, url)
        self.say(f"{told} (comment {done})")

    def report_all(self, found: Iterable[Waiting]) -> None:
        """Report on all of them; an error with one does not stop the others."""
        problems = []
        for waiting in found:
            try:
                self.report(waiting)
            except SegError as error:
                problems.append(f"{waiting.commit[:12]}: {error}")
        if problems:
            raise SegError("\n".join(problems))

    def _set_status(self, commit: str, state: State, text: str, url: str = "") -> None:
        if self.forge:
            self.forge.set_status(commit, Status(CONTEXT, state, text, url))


def waiting_commits(git: Git, forge: GitHub) -> Iterator[Waiting]:
    """Commits of this clone whose status says that their run is under way."""
    commits = git.ancestors("HEAD", _LOOKED_BACK)
    for commit in dict.fromkeys([*commits, *git.branch_tips(_BRANCHES)]):
        status = forge.status(commit, CONTEXT)
        if status and status.state is State.pending and (run := run_in(status)):
            yield Waiting(commit, run)


def run_in(status: Status) -> str:
    """The id of the run that a status leads to; empty if it leads elsewhere."""
    found = _RUN_ID.search(status.url)
    return found.group() if found else ""


def _newest_run(cluster: "KfpServer", commit: str) -> str:
    """The run of a commit that was started last, if possible one not stopped."""
    from pipeline.kfp.runs import list_runs, was_stopped

    runs = [
        run
        for run in list_runs(cluster, part=commit[:7])
        if described(run).get("commit") == commit
    ]
    if not runs:
        raise SegError(
            f"No run of the commit {commit[:12]} on {cluster.address}. "
            "`python -m pipeline retrain` starts one."
        )
    return max(runs, key=lambda run: (not was_stopped(run), run.age)).run_id
