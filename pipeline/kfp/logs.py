"""A step's log: from KFP, which keeps it, else from the pod."""

from collections.abc import Iterator

from pipeline.kfp.connection import Cluster
from pipeline.kfp.failures import ClusterError, shortened
from pipeline.kfp.kubernetes_api import kubernetes_of
from pipeline.kfp.runs import Run, get_run
from pipeline.kfp.watching import look_again
from seglib.errors import SegError, UsageError, unknown
from seglib.runtime.pod_log import own_lines, path_of_log, refusal
from seglib.runtime.workflow import FAILED, PENDING, RUNNING, Attempt, Step

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


def follow_log(
    cluster: Cluster,
    run: Run,
    step: Step,
    *,
    attempt: int = 0,
    tail: int = 0,
    raw: bool = False,
    every_s: float | None = None,
) -> Iterator[str]:
    """The log of a step in parts: what is there, then what comes, until the step ends.

    KFP gives a log as far as it has come and ignores the wish to follow, so it is read
    again and again.

    Args:
        attempt: which of the step's pods, from 1; 0: the newest.
        tail: only the last lines of what is there; 0: all.
        raw: with the lines of KFP and Argo.
        every_s: between two looks; `None`: only what is there.

    Raises:
        SegError: there is no log.
        UsageError: there was no such attempt.
    """
    current = _chosen(step, attempt)
    if every_s is None or step.state not in (RUNNING, PENDING):
        lines = _lines(read_log(cluster, run, step, current), raw=raw)
        yield "".join(lines[-tail:])
        return
    shown, rest = 0, tail
    for seen in look_again(lambda: get_run(cluster, run.run_id), every_s=every_s):
        if not isinstance(seen, Run):
            continue  # the server is away
        step = find_step(seen, step.label)
        current = next((a for a in step.attempts if a.pod == current.pod), current)
        while True:
            lines = _lines(_read_so_far(cluster, seen, step, current), raw=raw)
            start = max(0, len(lines) - rest) if rest else shown
            yield "".join(lines[start:])
            shown, rest, newest = len(lines), 0, last_attempt(step)
            if newest.pod == current.pod:
                break
            why = current.message or current.state
            yield f"--- attempt {len(step.attempts)}, after: {why}\n"
            current, shown = newest, 0
        if step.state not in (RUNNING, PENDING):
            return


def read_log(cluster: Cluster, run: Run, step: Step, attempt: Attempt) -> str:
    """The log of one attempt of a step, as far as it has come.

    Raises:
        SegError: neither KFP nor Kubernetes has it.
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


def _read_so_far(cluster: Cluster, run: Run, step: Step, attempt: Attempt) -> str:
    """The log; empty while the step waits for a node."""
    try:
        return read_log(cluster, run, step, attempt)
    except SegError:
        if step.state != PENDING:
            raise
        return ""


def _chosen(step: Step, number: int) -> Attempt:
    newest = last_attempt(step)
    if number > len(step.attempts):
        raise UsageError(
            f"{step.label} has {len(step.attempts)} attempt(s). Received: "
            f"--attempt {number}."
        )
    return step.attempts[number - 1] if number else newest


def _lines(text: str, *, raw: bool) -> list[str]:
    lines = text.splitlines(keepends=True)
    return lines if raw else list(own_lines(lines))
