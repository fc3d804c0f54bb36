"""What a step printed: from KFP, which keeps it, else from its pod."""

from pipeline.kfp.connection import Cluster
from pipeline.kfp.failures import ClusterError, shortened
from pipeline.kfp.kubernetes_api import kubernetes_of
from pipeline.kfp.runs import Run
from seglib.errors import SegError, unknown
from seglib.runtime.pod_log import path_of_log, refusal
from seglib.runtime.workflow import FAILED, RUNNING, Attempt, Step

_RUN_LABEL = "pipeline/runid"
_NO_USE = ("unauthenticated", "forbidden", "refused", "unreachable", "dns", "tls")


def find_step(run: Run, name: str = "") -> Step:
    """A step by its name, `train` for train-model, too.

    Args:
        name: `train[1]` is that of the second trial. Empty: the one that failed, else
            the one that runs, else the last that printed something.

    Raises:
        SegError: there is none.
    """
    if not run.steps:
        why = run.note or run.error
        raise SegError(
            f"{run.name} has no steps yet: it is {run.state}. {why}".rstrip()
        )
    if not name:
        for state in (FAILED, RUNNING):
            if found := [step for step in run.steps if step.state == state]:
                return found[0]
        return next((s for s in reversed(run.steps) if s.attempts), run.steps[-1])
    wanted = name.replace("_", "-")
    found = [step for step in run.steps if wanted in (step.name, step.label)]
    found = found or [s for s in run.steps if s.name.startswith(f"{wanted}-")]
    if len({step.name for step in found}) == 1:
        return next((step for step in found if step.state == FAILED), found[0])
    raise unknown("step", name, {step.label for step in run.steps})


def read_log(cluster: Cluster, run: Run, step: Step, attempt: Attempt) -> str:
    """What one attempt of a step has printed so far.

    Raises:
        SegError: nobody gives its log.
    """
    try:
        return _from_kfp(cluster, run, attempt.pod)
    except ClusterError as error:
        if error.kind in _NO_USE:
            raise
        reasons = [str(error)]
    try:
        return kubernetes_of(cluster).log(attempt.pod, "main")
    except SegError as error:
        reasons.append(str(error))
    told = "\n".join(f"  {reason}" for reason in reasons)
    namespace = cluster.namespace
    raise SegError(
        f"{step.label} ({step.state}): no log of the pod {attempt.pod}. KFP keeps logs "
        "in its object store; a pod that never started has none.\n"
        f"{told}\n"
        f"By hand: kubectl logs -n {namespace} -l {_RUN_LABEL}={run.run_id} -c main"
    )


def last_attempt(step: Step) -> Attempt:
    """The newest pod of a step.

    Raises:
        SegError: it has none.
    """
    if step.attempts:
        return step.attempts[-1]
    if step.state == "CACHED":
        raise SegError(
            f"{step.label} printed nothing in this run: its result is from the cache. "
            "The row in MLflow says which run made it (tag step.…)."
        )
    raise SegError(
        f"{step.label} has no pod: it is {step.state.lower()}. {step.message}".rstrip()
    )


def _from_kfp(cluster: Cluster, run: Run, pod: str) -> str:
    path = path_of_log(run.run_id, pod)
    text = cluster.read(path, doing=f"read the log of {pod}")
    if told := refusal(text):
        raise ClusterError(f"KFP: {shortened(told)}", kind="no-log")
    return text
