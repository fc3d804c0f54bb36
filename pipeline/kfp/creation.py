"""A creation that may have worked although it failed: looked for, never doubled."""

import time
from collections.abc import Callable
from typing import TypeVar

from pipeline.kfp.connection import Cluster
from pipeline.kfp.failures import ClusterError
from pipeline.kfp.ghosts import Trace, end_ghosts, find_ghosts

_TRIES = 3
_LOOKS = 4  # into KFP, with pauses, before Kubernetes is asked

Made = TypeVar("Made")


def create_once(
    cluster: Cluster,
    create: Callable[[], Made],
    find: Callable[[], Made | None],
    trace: Trace,
) -> Made:
    """Make a run or a recurring run, unless a failed try has made it.

    Args:
        create: makes it; a try whose outcome is not known is not repeated in there.
        find: looks for it in KFP.
        trace: how it is found in Kubernetes.

    Raises:
        ClusterError: KFP refuses; or it was half made, and is ended or named; or
            Kubernetes cannot be asked whether it was.
    """
    waits = [0.0, *cluster.endpoint.patience.waits()]
    for left in reversed(range(_TRIES)):
        try:
            return create()
        except ClusterError as error:
            if not error.undecided:
                raise
            if found := _look(find, waits[:_LOOKS]):
                return found
            ghosts = find_ghosts(cluster, trace, error)
            # Without an answer KFP may still be at work, and list it yet.
            slow = ghosts and not error.answered
            if found := _look(find, waits[_LOOKS:] if slow else [0.0]):
                return found
            if ghosts and (ghosts := find_ghosts(cluster, trace, error)):
                raise end_ghosts(cluster, trace, ghosts, error) from error
            if not left:
                raise
    raise AssertionError


def _look(find: Callable[[], Made | None], waits: list[float]) -> Made | None:
    for wait_s in waits:
        time.sleep(wait_s)
        if found := find():
            return found
    return None
