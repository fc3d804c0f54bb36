"""TrackedRuns in MLflow that stay open although their training in several pods is over.

The first pod closes the row of its job. A job that somebody deletes, or whose last pod
is killed, leaves it RUNNING: nobody inside is there to tell.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.kfp.failures import ClusterError
from pipeline.kfp.kubernetes_api import kubernetes_at
from pipeline.train_job.job import end_of, find_job
from seglib.delivery.recorder import Recorder
from seglib.tracking.queries import TrackedRuns

SILENT_S = 900.0  # the load of a training's machine is told every 10 s
# Of a job's end: as a run's end is told, and MLflow's word.
_ENDS = {
    "Complete": ("SUCCEEDED", "FINISHED"),
    "Failed": ("FAILED", "FAILED"),
    "": ("CANCELED", "KILLED"),
}


@dataclass(frozen=True)
class Closed:
    """What became of a row."""

    name: str
    status: str  # MLflow's; "" where the row stays open
    reason: str


def close_rows(
    uri: str,
    *,
    context: str = "",
    silent_s: float = SILENT_S,
    warn: Callable[[str], None],
) -> Iterator[Closed]:
    """Close the rows whose job is over or gone, as Kubernetes knows.

    A row that was told something of late stays open: Kubernetes may be that of another
    cluster, or the job one that was just applied again.

    Args:
        uri: of the tracking store.
        context: of kubeconfig.
        silent_s: how long nothing must have been told of a row.
    """
    rows = TrackedRuns(uri)
    for row in rows.open_jobs():
        namespace, _, name = row.tags["train_job"].partition("/")
        quiet_s = time.time() - rows.last_sign_ms(row) / 1000
        if quiet_s < silent_s:
            minutes = f"{quiet_s / 60:.0f} minute(s) ago"
            yield Closed(row.name, "", f"it was told something {minutes}")
            continue
        try:
            job = find_job(kubernetes_at(namespace, context=context), name)
        except ClusterError as error:
            yield Closed(row.name, "", str(error))
            continue
        end = end_of(job) if job else {"message": f"{name} is gone from {namespace}"}
        if end is None:
            yield Closed(row.name, "", f"{name} goes on in {namespace}")
            continue
        state, status = _ENDS[end.get("type", "")]
        Recorder(uri, warn=warn).apply(
            {
                "kind": "close",
                "run": row.name,
                "time_ms": time.time_ns() // 1_000_000,
                "state": state,
            }
        )
        yield Closed(row.name, status, str(end.get("message", "")))
