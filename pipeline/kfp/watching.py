"""A run, followed until it ends."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.kfp.connection import Cluster
from pipeline.kfp.failures import ClusterError
from pipeline.kfp.runs import Run, get_run
from seglib.runtime.workflow import Step

_AWAY_S = 600.0  # that a server may be away while a run is followed


@dataclass(frozen=True, kw_only=True)
class News:
    """What has changed since the last look."""

    run: Run
    steps: tuple[Step, ...] = ()  # that are not as they were
    trouble: str = ""  # the server does not answer; the run goes on


def follow(
    cluster: Cluster, run_id: str, *, every_s: float = 5.0, longest_s: float = 0.0
) -> Iterator[News]:
    """Look at a run until it has ended, and tell what changed.

    A server that is away for less than ten minutes ends nothing.

    Args:
        longest_s: stop looking after that; 0: never.

    Raises:
        ClusterError: the cluster says no, or is away for longer.
    """
    run = get_run(cluster, run_id)
    yield News(run=run, steps=run.steps)
    begun = heard = time.monotonic()
    trouble = False
    while not run.finished and not 0 < longest_s <= time.monotonic() - begun:
        time.sleep(every_s)
        try:
            now = get_run(cluster, run_id)
        except ClusterError as error:
            if not error.passing or time.monotonic() - heard > _AWAY_S:
                raise
            if not trouble:
                yield News(run=run, trouble=str(error))
            trouble = True
            continue
        heard, trouble = time.monotonic(), False
        changed = _changed(run, now)
        run, before = now, run
        if changed or run.state != before.state:
            yield News(run=run, steps=changed)


def _changed(before: Run, now: Run) -> tuple[Step, ...]:
    known = {step.label: _told(step) for step in before.steps}
    return tuple(step for step in now.steps if known.get(step.label) != _told(step))


def _told(step: Step) -> tuple[object, ...]:
    return step.state, len(step.attempts), step.message
