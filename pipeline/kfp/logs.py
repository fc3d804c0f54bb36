"""A step's log: from KFP, which keeps it, else from the pod."""

from collections.abc import Iterable, Iterator

from pipeline.kfp.connection import KfpServer
from pipeline.kfp.failures import ClusterError, look_again, shortened
from pipeline.kfp.kubernetes_api import kubernetes_of
from pipeline.kfp.runs import Run, get_run
from seglib.errors import SegError, UsageError, unknown
from seglib.runtime.pod_log import own_lines, path_of_log, refusal
from seglib.runtime.workflow import FAILED, PENDING, RUNNING, RunStep, StepPod

_NO_USE = ("unauthenticated", "forbidden", "refused", "unreachable", "dns", "tls")


def find_step(run: Run, name: str = "") -> RunStep:
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
    server: KfpServer,
    run: Run,
    step: RunStep,
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
    current = last_attempt(step)
    if attempt > len(step.attempts):
        raise UsageError(
            f"{step.label} has {len(step.attempts)} attempt(s). Received: "
            f"--attempt {attempt}."
        )
    if attempt:
        current = step.attempts[attempt - 1]
    looks: Iterable[Run] = [run]
    follows = every_s is not None and step.state in (RUNNING, PENDING)
    if every_s is not None and follows:
        looks = look_again(lambda: get_run(server, run.run_id), every_s=every_s)
    shown = -tail  # lines that are printed already
    for seen in looks:
        step = find_step(seen, step.label)
        while True:
            try:
                lines = read_log(server, seen, step, current).splitlines(keepends=True)
            except SegError:
                if not follows or step.state != PENDING:
                    raise
                lines = []  # the step waits for a node
            lines = lines if raw else list(own_lines(lines))
            yield "".join(lines[shown:])
            shown, newest = len(lines), last_attempt(step)
            if not follows or newest.pod == current.pod:
                break
            ended = next((a for a in step.attempts if a.pod == current.pod), current)
            why = ended.message or ended.state
            yield f"--- attempt {len(step.attempts)}, after: {why}\n"
            current, shown = newest, 0
        if step.state not in (RUNNING, PENDING):
            return


def read_log(server: KfpServer, run: Run, step: RunStep, attempt: StepPod) -> str:
    """The log of one attempt of a step, as far as it has come.

    Raises:
        SegError: neither KFP nor Kubernetes has it.
    """
    pod = attempt.pod
    try:
        text = server.read(path_of_log(run.run_id, pod), doing=f"read the log of {pod}")
        told = refusal(text)
        if not told:
            return text
        reasons = [f"KFP: {shortened(told)}"]
    except ClusterError as error:
        if error.kind in _NO_USE:
            raise
        reasons = [str(error)]
    try:
        return kubernetes_of(server).log(pod, "main")
    except ClusterError as error:
        reasons.append(str(error))
    told = "\n".join(f"  {reason}" for reason in reasons)
    raise SegError(
        f"{step.label} ({step.state}): no log of the pod {pod}. KFP keeps logs "
        "in its object store; a pod that never started has none.\n"
        f"{told}\n"
        f"By hand: kubectl logs -n {server.namespace} -l pipeline/runid={run.run_id} "
        "-c main"
    )


def last_attempt(step: RunStep) -> StepPod:
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
