"""Ghosts: objects that run in Kubernetes, and that none of KFP's lists has.

KFP makes an object in Kubernetes first, a Workflow or a ScheduledWorkflow, and its own
row after that. Where the second fails, the first runs on without it. So a creation that
failed is looked for, in KFP and in Kubernetes, before it is repeated.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pipeline.kfp.connection import Cluster
from pipeline.kfp.failures import ClusterError
from pipeline.kfp.kubernetes_api import (
    SCHEDULES,
    WORKFLOWS,
    Kubernetes,
    KubernetesError,
    Resource,
    kubernetes_of,
)

_RUN_NAME = "pipelines.kubeflow.org/run_name"
_RUN_ID = "pipeline/runid"
_COMPLETED = "workflows.argoproj.io/completed"
_PREFIX = 25  # characters of a recurring run's name that its object's name keeps
_WITNESSES = 5  # newest objects that are to show that the cluster is KFP's

_TRIES = 3
_LOOKS = 3  # into KFP, with pauses, before Kubernetes is asked

Metadata = Mapping[str, Any]  # of an object in Kubernetes
Made = TypeVar("Made")


@dataclass(frozen=True, kw_only=True)
class Trace:
    """How Kubernetes knows a run or a recurring run that KFP was to make."""

    resource: Resource
    name: str
    spec: Mapping[str, str] = field(default_factory=dict)  # what the object's has

    @classmethod
    def of_run(cls, name: str) -> "Trace":
        return cls(resource=WORKFLOWS, name=name)

    @classmethod
    def of_schedule(cls, name: str, *, experiment_id: str, version_id: str) -> "Trace":
        spec = {"experimentId": experiment_id, "pipelineVersionId": version_id}
        return cls(resource=SCHEDULES, name=name, spec=spec)

    @property
    def prefix(self) -> str:
        """Of the name of a recurring run's object; five random letters follow."""
        return re.sub("[^a-z0-9-]", "", self.name.lower())[:_PREFIX]

    def fits(self, one: Metadata) -> bool:
        if self.resource is SCHEDULES:
            return bool(one.get("generateName") == self.prefix)
        ended = one.get("labels", {}).get(_COMPLETED) == "true"
        return not ended and one.get("annotations", {}).get(_RUN_NAME) == self.name


def create_once(
    cluster: Cluster,
    create: Callable[[], Made],
    find: Callable[[], Made | None],
    trace: Trace,
) -> Made:
    """Make a run or a recurring run, unless a failed try has made it.

    Args:
        create: makes it, by a request that is not repeated.
        find: looks for it in KFP.
        trace: how it is found in Kubernetes.

    Raises:
        ClusterError: KFP refuses; or it was half made, and is ended or named; or
            Kubernetes cannot be asked whether it was.
    """
    pauses = cluster.endpoint.patience.pauses
    for left in reversed(range(_TRIES)):
        try:
            return create()
        except ClusterError as error:
            if not error.undecided:
                raise
            if found := _look(find, pauses[:_LOOKS]):
                return found
            ghosts = _find_ghosts(cluster, trace, error)
            # Without an answer KFP may still be at work, and list it yet.
            is_slow = ghosts and not error.answered
            if found := _look(find, pauses[_LOOKS:] if is_slow else [0.0]):
                return found
            if ghosts and (ghosts := _find_ghosts(cluster, trace, error)):
                raise _end_ghosts(cluster, trace, ghosts, error) from error
            if not left:
                raise
    raise AssertionError


def runs(resource: Resource, one: Metadata) -> bool:
    """Whether a Kubernetes object belongs to KFP and has not ended."""
    labels = one.get("labels", {})
    if resource is SCHEDULES:
        return True
    return _RUN_ID in labels and labels.get(_COMPLETED) != "true"


def is_known(cluster: Cluster, resource: Resource, one: Metadata) -> bool:
    """Whether KFP lists the run, or the recurring run, of a Kubernetes object."""
    client = cluster.client
    if resource is SCHEDULES:
        get = client.recurring_runs.recurring_run_service_get_recurring_run
        key = one["uid"]
    else:
        get = client.runs.run_service_get_run
        key = one.get("labels", {}).get(_RUN_ID, "")
    if not key:
        return False
    try:
        cluster.call(get, key, doing=f"look for {one['name']}")
    except ClusterError as error:
        if error.kind != "missing":
            raise
        return False
    return True


def require_same(cluster: Cluster, kubernetes: Kubernetes) -> None:
    """Raise a KubernetesError unless it is the Kubernetes that this KFP runs on."""
    if cluster.client.address.startswith(f"{kubernetes.address}/"):
        return  # KFP is reached through it
    for resource in (WORKFLOWS, SCHEDULES):
        found = kubernetes.newest(resource)[:_WITNESSES]
        if any(is_known(cluster, resource, one) for one in found):
            return
    raise KubernetesError(
        f"Kubernetes: the KFP at {cluster.client.address} knows nothing of what is in "
        f"{kubernetes.namespace} at {kubernetes.address}: this may be another cluster, "
        "which --context and --namespace choose."
    )


def _look(find: Callable[[], Made | None], pauses: Sequence[float]) -> Made | None:
    for pause_s in pauses:
        time.sleep(pause_s)
        if found := find():
            return found
    return None


def _find_ghosts(
    cluster: Cluster, trace: Trace, failure: ClusterError
) -> list[Metadata]:
    """What a failed creation left in Kubernetes, where KFP does not have it.

    Args:
        failure: of the creation; it begins the message of what is raised here.

    Raises:
        ClusterError: Kubernetes cannot be asked.
    """
    try:
        kubernetes = kubernetes_of(cluster)
        objects = kubernetes.newest(trace.resource)
        ghosts = [
            one
            for one in objects
            if trace.fits(one) and not is_known(cluster, trace.resource, one)
        ]
        require_same(cluster, kubernetes)
        if trace.spec:  # its name is shared with others
            ghosts = [
                one
                for one in ghosts
                if trace.spec.items()
                <= kubernetes.get(trace.resource, one["name"])["spec"].items()
            ]
    except KubernetesError as error:
        raise ClusterError(
            f"{failure}\nIt may have been made in Kubernetes all the same, so it is "
            f"not made again. {error}\nLook for it, and end what is there, before "
            f"you repeat the command:\n  {_listing(cluster, trace)}\n"
            f"  {_ending(cluster, trace, 'NAME')}",
            kind="half-made",
        ) from failure
    return ghosts


def _end_ghosts(
    cluster: Cluster, trace: Trace, ghosts: Sequence[Metadata], failure: ClusterError
) -> ClusterError:
    """Delete them; the error says what became of each."""
    kubernetes, lines = kubernetes_of(cluster), [str(failure)]
    for ghost in ghosts:
        name = ghost["name"]
        what = f"KFP had made {name} ({trace.resource}), which it does not list"
        try:
            kubernetes.delete(trace.resource, name, uid=ghost["uid"])
            lines.append(f"{what}: it is deleted.")
        except KubernetesError as error:
            command = _ending(cluster, trace, name)
            lines.append(f"{what}, and it goes on. {error}. End it: {command}")
    lines.append("Nothing was made again: mend the cause, and repeat the command.")
    return ClusterError("\n".join(lines), kind="half-made")


def _listing(cluster: Cluster, trace: Trace) -> str:
    """The command that finds it."""
    get = f"{_kubectl(cluster)} get {trace.resource}"
    if trace.resource is SCHEDULES:
        return f"{get} -o name | grep /{trace.prefix}"
    key = _RUN_NAME.replace(".", r"\.")
    fits = f'?(@.metadata.annotations.{key}=="{trace.name}")'
    return f"{get} -o jsonpath='{{.items[{fits}].metadata.name}}'"


def _ending(cluster: Cluster, trace: Trace, name: str) -> str:
    return f"{_kubectl(cluster)} delete {trace.resource} {name}"


def _kubectl(cluster: Cluster) -> str:
    context = cluster.endpoint.context
    chosen = f" --context {context}" if context else ""
    return f"kubectl{chosen} -n {cluster.namespace}"
