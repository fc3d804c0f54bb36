"""A training in several pods on its cluster: started or found, and followed to its end.

It is reported by attempt, by each new line of its pods' logs, and by its end.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pipeline.kfp.failures import ClusterError, look_again
from pipeline.kfp.kubernetes_api import PODS, Kubernetes, Object, Resource
from pipeline.train_job.plan import LABEL, NODE
from seglib.errors import UsageError

GONE = "Gone"
_TRAINER = "trainer.kubeflow.org"
_TRAIN_JOBS = Resource(group=_TRAINER, version="v1alpha1", plural="trainjobs")
_RUNTIMES = Resource(group=_TRAINER, version="v1alpha1", plural="trainingruntimes")
_POLICIES = Resource(group="networking.k8s.io", version="v1", plural="networkpolicies")
_ENDS = ("Complete", "Failed")  # conditions of a TrainJob
_PAUSE_S = 1.0
_INDEX = "batch.kubernetes.io/job-completion-index"
_ATTEMPT = "jobset.sigs.k8s.io/restart-attempt"
_LINE = re.compile(r"(\d{4}-\d\d-\d\dT\S+Z) (.*)")
_USUAL = ("ContainerCreating", "PodInitializing")  # why a container waits

Say = Callable[[str], None]


def end_of(job: Object) -> Mapping[str, Any] | None:
    """The condition in which a TrainJob ended; None while it goes on."""
    for condition in job.get("status", {}).get("conditions", ()):
        if condition["type"] in _ENDS and condition["status"] == "True":
            return dict(condition)
    return None


def find_job(kubernetes: Kubernetes, name: str) -> Object | None:
    """A TrainJob; None if it is not there.

    By a list: a request by name is answered with 404 also where Kubeflow Trainer is
    not installed, and that is no reason to take a job for gone.

    Raises:
        ClusterError: it cannot be asked.
    """
    try:
        found = kubernetes.labelled(_TRAIN_JOBS, f"{LABEL}={name}")
    except ClusterError as error:
        if error.kind != "missing":
            raise
        raise ClusterError(
            f"{kubernetes.address} knows no TrainJobs: Kubeflow Trainer is not "
            "installed there (docs/cluster.md says how), or it is another cluster "
            f"(--context). {error}",
            kind=error.kind,
        ) from error
    return next((one for one in found if one["metadata"]["name"] == name), None)


def start(
    kubernetes: Kubernetes, documents: Sequence[Object], *, again: bool, say: Say
) -> None:
    """Make the resources of a job, or find it running or ended.

    Args:
        documents: policy, runtime and job (pipeline/train_job/resources.py).
        again: delete a job of this name that has ended, and start it once more.

    Raises:
        UsageError: another training runs under this name.
        ClusterError: it refuses, or is not there.
    """
    policy, runtime, job = documents
    name = job["metadata"]["name"]
    there = find_job(kubernetes, name)
    if there and not end_of(there):
        if _trained(kubernetes.get(_RUNTIMES, name)) != _trained(runtime):
            raise UsageError(
                f"Another training runs as {name}: its image, data, settings or number "
                "of pods differ. Take another --name, or delete it first."
            )
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
        kubernetes.apply(_TRAIN_JOBS, job, dry_run=True)
        kubernetes.apply(_TRAIN_JOBS, job)
    except ClusterError:
        if find_job(kubernetes, name) is None:
            for resource, one in made:
                with suppress(ClusterError):
                    kubernetes.delete(resource, name, uid=one["metadata"]["uid"])
        raise
    say(f"{name} is started")


@dataclass(kw_only=True)
class Follower:
    """Reports on a job.

    Args:
        retries: how often all pods start again.
        say: takes a line.
    """

    kubernetes: Kubernetes
    name: str
    retries: int
    say: Say
    _attempt: int = -1
    _seen: dict[str, str] = field(default_factory=dict)  # pod → time of its last line
    _told: set[str] = field(default_factory=set)

    def follow(self, every_s: float, *, longest_s: float = 0.0) -> str:
        """Look until the job ends.

        Args:
            every_s: pause between two looks.
            longest_s: stop looking after that; 0: never.

        Returns:
            Complete, Failed or Gone; "" where it still goes on after `longest_s`.

        Raises:
            ClusterError: it refuses, or is away for ten minutes.
        """
        for end in look_again(
            self._look,
            every_s=every_s,
            longest_s=longest_s,
            away=lambda error: self.say(f"{error} It is asked again."),
        ):
            if end:
                return end
        return ""

    def _look(self) -> str:
        """Report what is new, and return the end if it has come."""
        job = find_job(self.kubernetes, self.name)
        # After the job: of one that has ended, all is there to be read.
        pods = self.kubernetes.labelled(PODS, f"{LABEL}={self.name}")
        for pod in sorted(pods, key=_order):
            self._tell(pod)
        if job is None:
            return GONE
        end = end_of(job)
        if not end:
            return ""
        self.say(f"{end['type']}: {end.get('message') or end.get('reason')}")
        return str(end["type"])

    def _tell(self, pod: Object) -> None:
        attempt, index = _order(pod)
        if attempt > self._attempt:
            self._attempt = attempt
            self.say(f"attempt {attempt + 1} of {self.retries + 1}")
        name = pod["metadata"]["name"]
        statuses = pod.get("status", {}).get("containerStatuses") or [{}]
        state = statuses[0].get("state", {})
        if "running" in state or "terminated" in state:
            for line in self._new_lines(name):
                self.say(f"{index} | {line}")
        if reason := _trouble(pod, state):
            text = f"pod {index}: {reason}"
            if f"{name} {text}" not in self._told:
                self._told.add(f"{name} {text}")
                self.say(text)

    def _new_lines(self, pod: str) -> Iterator[str]:
        """The lines of a pod since the last look."""
        seen = self._seen.get(pod, "")
        try:
            text = self.kubernetes.log(pod, NODE, since=seen, times=True)
        except ClusterError as error:
            if error.kind in ("invalid", "missing"):  # it does not run yet, or is gone
                return
            raise
        for line in text.splitlines():
            found = _LINE.fullmatch(line)
            # `since` counts whole seconds, so some come again.
            if found and _moment(found[1]) > _moment(seen):
                self._seen[pod] = found[1]
                yield found[2]


def _trained(runtime: Object) -> tuple[Any, ...]:
    spec = runtime["spec"]
    (job,) = spec["template"]["spec"]["replicatedJobs"]
    (container,) = job["template"]["spec"]["template"]["spec"]["containers"]
    return container["image"], container["args"], spec["mlPolicy"]["numNodes"]


def _delete(kubernetes: Kubernetes, job: Object, say: Say) -> None:
    """Delete a job, and wait until its pods are gone: they write where new ones do."""
    name = job["metadata"]["name"]
    kubernetes.delete(_TRAIN_JOBS, name, uid=job["metadata"]["uid"])
    while find_job(kubernetes, name) or kubernetes.labelled(PODS, f"{LABEL}={name}"):
        time.sleep(_PAUSE_S)
    say(f"{name} had ended before, and is deleted")


def _order(pod: Object) -> tuple[int, int]:
    labels = pod["metadata"].get("labels", {})
    return int(labels.get(_ATTEMPT, 0)), int(labels.get(_INDEX, 0))


def _trouble(pod: Object, state: Mapping[str, Any]) -> str:
    """Why a pod waits, or how it ended, if that is worth a line."""
    if ended := state.get("terminated"):
        status = ended["exitCode"]
        return f"{ended.get('reason', 'Error')}, exit code {status}" if status else ""
    waits = state.get("waiting", {})
    if waits.get("reason", _USUAL[0]) not in _USUAL:
        return f"waits: {waits['reason']}: {waits.get('message', '')}".rstrip(": ")
    for condition in pod.get("status", {}).get("conditions", ()):
        if condition.get("reason") == "Unschedulable":
            return f"waits: {condition.get('message', 'no node has room')}"
    return str(pod.get("status", {}).get("message", ""))  # such as of an eviction


def _moment(text: str) -> str:
    """A time that compares as text: Kubernetes leaves out zeros at the end."""
    seconds, _, parts = text.rstrip("Z").partition(".")
    return f"{seconds}.{parts:0<9}" if text else ""
