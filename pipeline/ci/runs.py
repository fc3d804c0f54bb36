"""The runs of a commit on the cluster: which of them is the one."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from seglib.errors import SegError

if TYPE_CHECKING:
    from pipeline.kfp.connection import Cluster
    from pipeline.kfp.runs import Run

_STOPPED = ("CANCELED", "CANCELING")
_IN_VAIN = (*_STOPPED, "FAILED", "SKIPPED")
_SAME = ("commit", "data", "config")  # of two runs of which one is too many


def described(run: "Run") -> dict[str, str]:
    """What the run's description says: commit, data, config, image, triple."""
    lines = (line.partition(": ") for line in run.description.splitlines())
    return {name: value for name, colon, value in lines if colon}


def again_of(run: "Run") -> str:
    """What tells a forced run apart; empty for one that was not forced."""
    return run.tag.partition("-")[2]


def runs_like(
    cluster: "Cluster", wanted: Mapping[str, str], *, again: str = ""
) -> list["Run"]:
    """Runs of the same commit, data and configuration that go on or succeeded.

    Their images may differ: an image that two build at once has two digests.

    Args:
        cluster: where they are.
        wanted: `commit`, `data` and `config`, as a run's description has them.
        again: what tells a forced run apart.

    Returns:
        The oldest first: of several it is the one that goes on.
    """
    from pipeline.kfp.runs import list_runs

    same = {name: wanted[name] for name in _SAME}
    part = f"{same['commit'][:7]}-{same['data'][:7]}-"
    found = [
        run
        for run in list_runs(cluster, part=part)
        if same.items() <= described(run).items()
        and run.state not in _IN_VAIN
        and again_of(run) == again
    ]
    return sorted(found, key=lambda run: run.age)


def in_its_place(cluster: "Cluster", run: "Run") -> "Run":
    """The run; or, if it was stopped as one too many, the one that goes on."""
    facts = described(run)
    if run.state not in _STOPPED or not set(_SAME) <= facts.keys():
        return run
    return next(iter(runs_like(cluster, facts, again=again_of(run))), run)


def newest_run(cluster: "Cluster", commit: str) -> "Run":
    """The run of a commit that was started last.

    Raises:
        SegError: there is none.
    """
    from pipeline.kfp.runs import list_runs

    runs = [
        run
        for run in list_runs(cluster, part=commit[:7])
        if described(run).get("commit") == commit
    ]
    if not runs:
        raise SegError(
            f"No run of the commit {commit[:12]} on {cluster.client.address}. "
            "`python -m pipeline retrain` starts one."
        )
    return in_its_place(cluster, max(runs, key=lambda run: run.age))
