"""Starts a training in several pods, or finds the one that runs."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pipeline.kfp.kubernetes_api import (
    PODS,
    Kubernetes,
    KubernetesError,
    Resource,
)
from pipeline.train_job.pod import LABEL
from seglib.errors import UsageError

_TRAINER = "trainer.kubeflow.org"
TRAIN_JOBS = Resource(group=_TRAINER, version="v1alpha1", plural="trainjobs")
_RUNTIMES = Resource(group=_TRAINER, version="v1alpha1", plural="trainingruntimes")
_POLICIES = Resource(group="networking.k8s.io", version="v1", plural="networkpolicies")
_ENDS = ("Complete", "Failed")  # conditions of a TrainJob
_PAUSE_S = 1.0

Document = Mapping[str, Any]
Say = Callable[[str], None]


def end_of(job: Document) -> Mapping[str, Any] | None:
    """The condition in which a TrainJob ended; None while it goes on."""
    for condition in job.get("status", {}).get("conditions", ()):
        if condition["type"] in _ENDS and condition["status"] == "True":
            return dict(condition)
    return None


def find_job(kubernetes: Kubernetes, name: str) -> Document | None:
    """A TrainJob; None if it is not there.

    By a list: a request by name is answered with 404 also where Kubeflow Trainer is
    not installed, and that is no reason to take a job for gone.

    Raises:
        KubernetesError: it cannot be asked.
    """
    try:
        found = kubernetes.labelled(TRAIN_JOBS, f"{LABEL}={name}")
    except KubernetesError as error:
        if error.status != 404:
            raise
        raise KubernetesError(
            f"{kubernetes.address} knows no TrainJobs: Kubeflow Trainer is not "
            "installed there (docs/cluster.md says how), or it is another cluster "
            f"(--context). {error}",
            status=error.status,
        ) from error
    return next((one for one in found if one["metadata"]["name"] == name), None)


def start(
    kubernetes: Kubernetes, documents: Sequence[Document], *, again: bool, say: Say
) -> None:
    """Make the resources of a job, or find it running or ended.

    Args:
        documents: policy, runtime and job (pipeline/train_job/resources.py).
        again: delete a job of this name that has ended, and start it once more.

    Raises:
        UsageError: another training runs under this name.
        KubernetesError: it refuses, or is not there.
    """
    policy, runtime, job = documents
    name = job["metadata"]["name"]
    there = find_job(kubernetes, name)
    if there and not end_of(there):
        _require_same(kubernetes, runtime)
        say(f"{name} is there already, and is followed")
        return
    if there and not again:
        say(f"{name} has ended before; --again deletes it and starts it once more")
        return
    if there:
        _delete(kubernetes, there, say)
    before = ((_POLICIES, policy), (_RUNTIMES, runtime))
    for resource, document in before:
        kubernetes.apply(resource, document, dry_run=True)
    # The job's admission looks for the runtime, so its dry run needs it.
    made = [(resource, kubernetes.apply(resource, one)) for resource, one in before]
    try:
        kubernetes.apply(TRAIN_JOBS, job, dry_run=True)
        kubernetes.apply(TRAIN_JOBS, job)
    except KubernetesError:
        if find_job(kubernetes, name) is None:
            for resource, one in made:
                with suppress(KubernetesError):
                    kubernetes.delete(resource, name, uid=one["metadata"]["uid"])
        raise
    say(f"{name} is started")


def _require_same(kubernetes: Kubernetes, runtime: Document) -> None:
    name = runtime["metadata"]["name"]
    if _trained(kubernetes.get(_RUNTIMES, name)) != _trained(runtime):
        raise UsageError(
            f"Another training runs as {name}: its image, data, settings or number of "
            "pods differ. Take another --name, or delete it first."
        )


def _trained(runtime: Document) -> tuple[Any, ...]:
    spec = runtime["spec"]
    (job,) = spec["template"]["spec"]["replicatedJobs"]
    (container,) = job["template"]["spec"]["template"]["spec"]["containers"]
    return container["image"], container["args"], spec["mlPolicy"]["numNodes"]


def _delete(kubernetes: Kubernetes, job: Document, say: Say) -> None:
    """Delete a job, and wait until its pods are gone: they write where new ones do."""
    name = job["metadata"]["name"]
    kubernetes.delete(TRAIN_JOBS, name, uid=job["metadata"]["uid"])
    while find_job(kubernetes, name) or kubernetes.labelled(PODS, f"{LABEL}={name}"):
        time.sleep(_PAUSE_S)
    say(f"{name} had ended before, and is deleted")
