"""Reports a run's verdict on its commit: one status and one comment."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.ci.comment import keep_one, set_status
from pipeline.ci.facts import described, find_outcome, newest_run
from pipeline.ci.forge import Commit, State, Status
from pipeline.ci.git import Git
from pipeline.ci.github import GitHub
from pipeline.ci.verdict import Outcome
from seglib.errors import SegError

if TYPE_CHECKING:
    from pipeline.kfp.connection import KfpServer
    from pipeline.kfp.runs import Run

CONTEXT = "seglib/retrain"
KEY = "retrain"
_LOOKED_BACK = 20  # commits of this branch
_BRANCHES = 20  # whose tips are looked at, too
_COMMIT = re.compile(r"[0-9a-f]{40}")
_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Waiting:
    """A commit and the run that it waits for."""

    commit: str
    run_id: str


def waiting_commits(git: Git, forge: GitHub) -> Iterator[Waiting]:
    """Commits of this clone whose status says that their run is under way."""
    commits = git.ancestors("HEAD", _LOOKED_BACK)
    for commit in dict.fromkeys([*commits, *git.branch_tips(_BRANCHES)]):
        status = forge.status(commit, CONTEXT)
        if status and status.state is State.pending and (run := run_in(status)):
            yield Waiting(commit, run)


def find_waiting(
    cluster: "KfpServer", forge: GitHub | None, git: Git | None, word: str
) -> Waiting:
    """The commit and run that a word names: a run's id or name, or a commit.

    Raises:
        SegError: there is no such run, or it does not say which commit it is of.
    """
    from pipeline.kfp.runs import find_run

    commit = git.find_commit(word) if git and not _RUN_ID.fullmatch(word) else ""
    if commit or _COMMIT.fullmatch(word):
        commit = commit or word
        status = forge.status(commit, CONTEXT) if forge else None
        run_id = run_in(status) if status else ""
        return Waiting(commit, run_id or newest_run(cluster, commit).run_id)
    run = find_run(cluster, word)
    commit = described(run).get("commit", "")
    if not _COMMIT.fullmatch(commit):
        raise SegError(
            f"{run.name}: its description names no commit that could be told. Expected "
            f"a run of `python -m pipeline retrain`. Received: commit={commit!r}."
        )
    return Waiting(commit, run.run_id)


def report(
    cluster: "KfpServer",
    forge: GitHub | None,
    waiting: Waiting,
    *,
    tracking_uri: str,
    say: Callable[[str], None],
) -> bool:
    """Report the outcome of a run on its commit; a repetition changes nothing.

    Args:
        cluster: where the run is.
        forge: where the commit is; None: the Markdown is said instead.
        waiting: the commit and the run.
        tracking_uri: of the MLflow server.
        say: is told what happens.

    Returns:
        Whether the run has ended, and its verdict is known.
    """
    from pipeline.kfp.failures import ClusterError
    from pipeline.kfp.runs import get_run, in_its_place

    try:
        run = get_run(cluster, waiting.run_id)
        run = in_its_place(cluster, run) or run
    except ClusterError as error:
        if error.kind != "missing":
            raise
        _tell_gone(forge, waiting, say)
        return True
    url = cluster.url("runs", "details", run.run_id)
    if not run.finished:
        _set_pending(forge, waiting.commit, run, url)
        say(f"{waiting.commit[:12]}  {run.name}: {run.state.lower()}, not ended yet")
        return False
    outcome = find_outcome(run, url, tracking_uri=tracking_uri)
    if outcome is None:
        say(
            f"{waiting.commit[:12]}  {run.name}: ended, but MLflow has no row of it yet"
        )
        return False
    _tell(forge, waiting.commit, outcome, say)
    return True


def finish_all(
    cluster: "KfpServer",
    forge: GitHub,
    found: Iterable[Waiting],
    *,
    tracking_uri: str,
    say: Callable[[str], None],
) -> None:
    """Report on all of them; an error with one does not stop the others.

    Raises:
        SegError: one or more could not be reported on.
    """
    problems = []
    for waiting in found:
        try:
            report(cluster, forge, waiting, tracking_uri=tracking_uri, say=say)
        except SegError as error:
            problems.append(f"{waiting.commit[:12]}: {error}")
    if problems:
        raise SegError("\n".join(problems))


def run_in(status: Status) -> str:
    """The id of the run that a status leads to; empty if it leads elsewhere."""
    found = _RUN_ID.search(status.url)
    return found.group() if found else ""


def _set_pending(forge: GitHub | None, commit: str, run: "Run", url: str) -> None:
    if forge:
        text = f"training: {run.name}"
        set_status(forge, commit, Status(CONTEXT, State.pending, text, url))


def _tell_gone(
    forge: GitHub | None, waiting: Waiting, say: Callable[[str], None]
) -> None:
    text = f"the run {waiting.run_id} is not on the cluster any more"
    if forge:
        set_status(forge, waiting.commit, Status(CONTEXT, State.error, text))
    say(f"{waiting.commit[:12]}  {text}")


def _tell(
    forge: GitHub | None, commit: str, outcome: Outcome, say: Callable[[str], None]
) -> None:
    state, description = outcome.status
    text = outcome.to_markdown()
    if forge is None:
        say(f"{commit[:12]}  {state}: {description}\n\n{text}")
        return
    # The status comes last: as long as it waits, this is done again.
    done = keep_one(forge, Commit(commit), KEY, text)
    set_status(forge, commit, Status(CONTEXT, state, description, outcome.url))
    say(f"{commit[:12]}  {state}: {description} (comment {done})")
