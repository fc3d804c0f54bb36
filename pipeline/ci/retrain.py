"""Retraining a commit: the plan, the run, and the commit's status."""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline.ci.comment import set_status
from pipeline.ci.finalizing import CONTEXT, Waiting, report, run_in
from pipeline.ci.forge import ForgeError, State, Status
from pipeline.ci.git import Git
from pipeline.ci.github import GitHub
from pipeline.ci.plan import Plan, Wish, make_plan
from pipeline.ci.submitting import Means, start_run
from seglib.errors import SegError

if TYPE_CHECKING:
    from pipeline.kfp.connection import KfpServer


def plan_for(git: Git, forge: GitHub | None, wish: Wish) -> Plan:
    """The plan, with what the forge knows of earlier commits."""

    def was_handled(commit: str) -> bool:
        status = forge.status(commit, CONTEXT) if forge else None
        return status is not None and status.state is not State.error

    return make_plan(git, wish, was_handled=was_handled if forge else None)


def retrain(
    connect: "Callable[[], KfpServer]",
    git: Git,
    forge: GitHub | None,
    plan: Plan,
    wish: Wish,
    means: Means,
    *,
    tracking_uri: str,
    say: Callable[[str], None],
) -> None:
    """Carry out a plan, and report it in the commit's status.

    Args:
        connect: reaches the cluster; called only if it is needed.
        git: the repository.
        forge: None: there is none to tell.
        plan: what to do.
        wish: what was asked for.
        means: image, remote and so on.
        tracking_uri: of the MLflow server, for a run that has ended already.
        say: is told what happens, a line at a time.

    Raises:
        SegError: it could not be submitted; the commit's status says why, too.
    """
    if not plan.is_needed:
        _tell_needless(forge, plan)
        return
    try:
        cluster = connect()
        run = start_run(cluster, git, plan, wish, means, say=say)
    except SegError as error:
        _tell_error(forge, plan.commit, error)
        raise
    waiting = Waiting(plan.commit, run.run_id)
    report(cluster, forge, waiting, tracking_uri=tracking_uri, say=say)
    say(f"page         {cluster.url('runs', 'details', run.run_id)}")


def _tell_needless(forge: GitHub | None, plan: Plan) -> None:
    """A commit that has a status was handled before; that stays."""
    if forge and forge.status(plan.commit, CONTEXT) is None:
        text = f"nothing to train: as {plan.before[:12]}"
        set_status(forge, plan.commit, Status(CONTEXT, State.success, text))


def _tell_error(forge: GitHub | None, commit: str, error: SegError) -> None:
    """Say on the commit that nothing was submitted, unless somebody else did."""
    if forge is None:
        return
    with suppress(ForgeError):  # the first error is the one to read
        status = forge.status(commit, CONTEXT)
        if status is None or not run_in(status):
            lines = str(error).splitlines()
            text = f"not submitted: {lines[0]}"
            if getattr(error, "kind", "") == "half-made":
                text = lines[1]  # what became of what KFP does not list
            set_status(forge, commit, Status(CONTEXT, State.error, text))
