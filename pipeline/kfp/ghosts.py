"""Ghosts: objects that run in Kubernetes, and that none of KFP's lists has.

KFP makes an object in Kubernetes first, a Workflow or a ScheduledWorkflow, and its own
row after that. Where the second fails, the first runs on without it. So a creation that
failed is looked for, in KFP and in Kubernetes, before it is repeated.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pipeline.kfp.connection import KfpServer
from pipeline.kfp.failures import ClusterError
from pipeline.kfp.kubernetes_api import (
    SCHEDULES,
    WORKFLOWS,
    Kubernetes,
    Object,
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

Made = TypeVar("Made")


@dataclass(frozen=True, kw_only=True)
class Trace:
    """How Kubernetes knows a run or a recurring run that KFP was to make."""

    resource: Resource
    name: str
    spec: Mapping[str, str] = field(default_factory=dict)  # what the object's has

    @property
    def prefix(self) -> str:
        """Of the name of a recurring run's object; five random letters follow."""
        return re.sub("[^a-z0-9-]", "", self.name.lower())[:_PREFIX]

    @property
    def selection(self) -> str:
        """What makes `kubectl get` print its name alone."""
        if self.resource is SCHEDULES:
            return f"-o name | grep /{self.prefix}"
        key = _RUN_NAME.replace(".", r"\.")
        fits = f'?(@.metadata.annotations.{key}=="{self.name}")'
        return f"-o jsonpath='{{.items[{fits}].metadata.name}}'"

    def fits(self, one: Object) -> bool:
        if self.resource is SCHEDULES:
            return bool(one.get("generateName") == self.prefix)
        ended = one.get("labels", {}).get(_COMPLETED) == "true"
        return not ended and one.get("annotations", {}).get(_RUN_NAME) == self.name


def create_once(
    server: KfpServer,
    create: Callable[[], Made],
    find: Callable[[], Made | None],
    trace: Trace,
) -> Made:
    """Make a run or a recurring run, unless a failed try has made it.

    Args:
        create: makes it, by a request that is not repeated.
        find: looks for it in KFP.
        trace: how it is found in Kubernetes.
    """
    pauses = server.endpoint.patience.pauses
    for left in reversed(range(_TRIES)):
        try:
            return create()
        except ClusterError as error:
            if not error.undecided:
                raise
            if found := _look(find, pauses[:_LOOKS]):
                return found
            ghosts = _find_ghosts(server, trace, error)
            # Without an answer KFP may still be at work, and list it yet.
            is_slow = ghosts and not error.answered
            if found := _look(find, pauses[_LOOKS:] if is_slow else [0.0]):
                return found
            if ghosts and (ghosts := _find_ghosts(server, trace, error)):
                raise _end_ghosts(server, trace, ghosts, error) from error
            if not left:
                raise
    raise AssertionError


def ghosts_of(
    server: KfpServer, kubernetes: Kubernetes
) -> Iterator[tuple[Resource, Object]]:
    """What runs in a Kubernetes without its KFP's knowledge: the metadata."""
    _require_same(server, kubernetes)
    for resource in (WORKFLOWS, SCHEDULES):
        for one in kubernetes.newest(resource):
            labels = one.get("labels", {})
            runs = _RUN_ID in labels and labels.get(_COMPLETED) != "true"
            if (runs or resource is SCHEDULES) and not _is_known(server, resource, one):
                yield resource, one


def _is_known(server: KfpServer, resource: Resource, one: Object) -> bool:
    """Whether KFP lists the run, or the recurring run, of a Kubernetes object."""
    if resource is SCHEDULES:
        get = server.recurring_runs.recurring_run_service_get_recurring_run
        key = one["uid"]
    else:
        get = server.runs.run_service_get_run
        key = one.get("labels", {}).get(_RUN_ID, "")
    if not key:
        return False
    try:
        server.call(get, key, doing=f"look for {one['name']}")
    except ClusterError as error:
        if error.kind != "missing":
            raise
        return False
    return True


def _require_same(server: KfpServer, kubernetes: Kubernetes) -> None:
    """Raise a ClusterError unless it is the Kubernetes that this KFP runs on."""
    if server.address.startswith(f"{kubernetes.address}/"):
        return  # KFP is reached through it
    for resource in (WORKFLOWS, SCHEDULES):
        found = kubernetes.newest(resource)[:_WITNESSES]
        if any(_is_known(server, resource, one) for one in found):
            return
    raise ClusterError(
        f"Kubernetes: the KFP at {server.address} knows nothing of what is in "
        f"{kubernetes.namespace} at {kubernetes.address}: this may be another cluster, "
        "which --context and --namespace choose.",
        kind="another-cluster",
    )


def _look(find: Callable[[], Made | None], pauses: Sequence[float]) -> Made | None:
    for pause_s in pauses:
        time.sleep(pause_s)
        if found := find():
            return found
    return None


def _find_ghosts(
    server: KfpServer, trace: Trace, failure: ClusterError
) -> list[Object]:
    """What a failed creation left in Kubernetes, where KFP does not have it.

    Args:
        failure: of the creation; it begins the message of what is raised here.
    """
    try:
        kubernetes = kubernetes_of(server)
        ghosts = [
            one
            for one in kubernetes.newest(trace.resource)
            if trace.fits(one) and not _is_known(server, trace.resource, one)
        ]
        _require_same(server, kubernetes)
        if trace.spec:  # its name is shared with others
            ghosts = [
                one
                for one in ghosts
                if trace.spec.items()
                <= kubernetes.get(trace.resource, one["name"])["spec"].items()
            ]
    except ClusterError as error:
        raise ClusterError(
            f"{failure}\nIt may have been made in Kubernetes all the same, so it is "
            f"not made again. {error}\nLook for it, and end what is there, before "
            "you repeat the command:\n"
            f"  {_kubectl(server, 'get')} {trace.resource} {trace.selection}\n"
            f"  {_kubectl(server, 'delete')} {trace.resource} NAME",
            kind="half-made",
        ) from failure
    return ghosts


def _end_ghosts(
    server: KfpServer, trace: Trace, ghosts: Sequence[Object], failure: ClusterError
) -> ClusterError:
    """Delete them; the error says what became of each."""
    kubernetes, lines = kubernetes_of(server), [str(failure)]
    for ghost in ghosts:
        name = ghost["name"]
        what = f"KFP had made {name} ({trace.resource}), which it does not list"
        try:
            kubernetes.delete(trace.resource, name, uid=ghost["uid"])
            lines.append(f"{what}: it is deleted.")
        except ClusterError as error:
            command = f"{_kubectl(server, 'delete')} {trace.resource} {name}"
            lines.append(f"{what}, and it goes on. {error}. End it: {command}")
    lines.append("Nothing was made again: mend the cause, and repeat the command.")
    return ClusterError("\n".join(lines), kind="half-made")


def _kubectl(server: KfpServer, verb: str) -> str:
    context = server.endpoint.context
    chosen = f" --context {context}" if context else ""
    return f"kubectl{chosen} -n {server.namespace} {verb}"
