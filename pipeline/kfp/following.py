"""The log of a step, followed through its attempts until it ends."""

import time
from collections.abc import Iterator

from pipeline.kfp.connection import Cluster
from pipeline.kfp.logs import find_step, last_attempt, read_log
from pipeline.kfp.runs import Run, get_run
from seglib.errors import SegError, UsageError
from seglib.runtime.pod_log import own_lines
from seglib.runtime.workflow import PENDING, RUNNING, Attempt, Step


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
    """Texts to print one after the other: what is there, then what comes.

    KFP gives a log as far as it has come and ignores the wish to follow, so it is read
    again and again.

    Args:
        attempt: which of the step's pods, from 1; 0: the newest.
        tail: only the last lines of what is there; 0: all.
        raw: with the lines of KFP and Argo.
        every_s: between two looks; `None`: only what is there.

    Raises:
        SegError: there is no log.
    """
    chosen = _chosen(step, attempt)
    if every_s is not None and step.state in (RUNNING, PENDING):
        yield from _grow(cluster, run, step, chosen, tail, raw, every_s)
        return
    lines = _lines(read_log(cluster, run, step, chosen), raw=raw)
    yield "".join(lines[-tail:])


def _grow(
    cluster: Cluster,
    run: Run,
    step: Step,
    current: Attempt,
    tail: int,
    raw: bool,
    every_s: float,
) -> Iterator[str]:
    shown, first = 0, True
    while True:
        try:
            lines = _lines(read_log(cluster, run, step, current), raw=raw)
        except SegError:
            if current.state not in (RUNNING, PENDING) or step.state != PENDING:
                raise
            lines = []  # it waits for a place to run at
        start = max(0, len(lines) - tail) if first and tail else shown
        yield "".join(lines[start:])
        shown, first = len(lines), False
        newest = last_attempt(step)
        if newest.pod != current.pod:
            number = len(step.attempts)
            yield f"--- attempt {number}, after: {current.message or current.state}\n"
            current, shown = newest, 0
            continue
        if step.state not in (RUNNING, PENDING):
            return
        time.sleep(every_s)
        run = get_run(cluster, run.run_id)
        step = find_step(run, step.label)
        current = next((a for a in step.attempts if a.pod == current.pod), current)


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
