"""Looking at something on a cluster again and again, such as a run until it ends."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from pipeline.kfp.connection import Cluster
from pipeline.kfp.failures import ClusterError
from pipeline.kfp.kubernetes_api import KubernetesError
from pipeline.kfp.runs import Run, get_run
from seglib.runtime.workflow import Step

_AWAY_S = 600.0  # that a server may be away while it is looked at

Seen = TypeVar("Seen")
Trouble = ClusterError | KubernetesError


@dataclass(frozen=True, kw_only=True)
class News:
    """What has changed since the last look."""

    run: Run
    steps: tuple[Step, ...] = ()  # that are not as they were
    trouble: str = ""  # why the server cannot be asked; the run goes on


def look_again(
    look: Callable[[], Seen], *, every_s: float, longest_s: float = 0.0
) -> Iterator[Seen | Trouble]:
    """What is seen at once, and then after each pause.

    A server that is away for less than ten minutes ends nothing: its error is given
    once, and then nothing until it answers again.

    Args:
        look: asks the cluster.
        every_s: pause between two looks.
        longest_s: stop looking after that; 0: never.

    Raises:
        ClusterError | KubernetesError: the cluster refuses, or is away for longer.
    """
    begun = heard = time.monotonic()
    is_away = False
    while True:
        try:
            seen = look()
        except (ClusterError, KubernetesError) as error:
            if not error.passing or time.monotonic() - heard > _AWAY_S:
                raise
            if not is_away:
                yield error
            is_away = True
        else:
            heard, is_away = time.monotonic(), False
            yield seen
        if 0 < longest_s <= time.monotonic() - begun:
            return
        time.sleep(every_s)


def follow(
    cluster: Cluster, run_id: str, *, every_s: float = 5.0, longest_s: float = 0.0
) -> Iterator[News]:
    """Tell what changes in a run until it ends.

    Args:
        run_id: of the run.
        every_s: pause between two looks.
        longest_s: stop looking after that; 0: never.

    Raises:
        ClusterError: the cluster refuses, or is away at first or for ten minutes.
    """
    run: Run | None = None
    for seen in look_again(
        lambda: get_run(cluster, run_id), every_s=every_s, longest_s=longest_s
    ):
        if isinstance(seen, Run):
            changed = _changed(run, seen)
            if not run or changed or run.state != seen.state:
                yield News(run=seen, steps=changed)
            run = seen
            if run.finished:
                return
        elif run:
            yield News(run=run, trouble=str(seen))
        else:
            raise seen


def _changed(before: Run | None, now: Run) -> tuple[Step, ...]:
    known = {step.label: _told(step) for step in before.steps} if before else {}
    return tuple(step for step in now.steps if known.get(step.label) != _told(step))


def _told(step: Step) -> tuple[object, ...]:
    return step.state, len(step.attempts), step.message
