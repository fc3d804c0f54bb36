"""Follows a training in several pods: its attempts, its pods' logs, its end."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.kfp.kubernetes_api import PODS, Kubernetes, KubernetesError
from pipeline.kfp.watching import look_again
from pipeline.train_job.plan import NODE
from pipeline.train_job.pod import LABEL
from pipeline.train_job.start import end_of, find_job

GONE = "Gone"
_INDEX = "batch.kubernetes.io/job-completion-index"
_ATTEMPT = "jobset.sigs.k8s.io/restart-attempt"
_LINE = re.compile(r"(\d{4}-\d\d-\d\dT\S+Z) (.*)")
_USUAL = ("ContainerCreating", "PodInitializing")  # why a container waits

Pod = Mapping[str, Any]
Say = Callable[[str], None]


@dataclass(kw_only=True)
class Follower:
    """Reports on a job: its attempts, each new line of its pods' logs, its end.

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
            As `look`; "" where it still goes on after `longest_s`.

        Raises:
            KubernetesError: it refuses, or is away for ten minutes.
        """
        for seen in look_again(self.look, every_s=every_s, longest_s=longest_s):
            if not isinstance(seen, str):
                self.say(f"{seen} It is asked again.")
            elif seen:
                return seen
        return ""

    def look(self) -> str:
        """Report what is new.

        Returns:
            Complete, Failed or Gone; "" while the job goes on.

        Raises:
            KubernetesError: it cannot be asked.
        """
        job = find_job(self.kubernetes, self.name)
        # After the job: of one that has ended, all is there to be read.
        for pod in sorted(self._pods(), key=_order):
            self._tell(pod)
        if job is None:
            return GONE
        end = end_of(job)
        if not end:
            return ""
        self.say(f"{end['type']}: {end.get('message') or end.get('reason')}")
        return str(end["type"])

    def _pods(self) -> list[Pod]:
        return self.kubernetes.labelled(PODS, f"{LABEL}={self.name}")

    def _tell(self, pod: Pod) -> None:
        attempt, index = _order(pod)
        if attempt > self._attempt:
            self._attempt = attempt
            self.say(f"attempt {attempt + 1} of {self.retries + 1}")
        name, state = pod["metadata"]["name"], _state(pod)
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
        except KubernetesError as error:
            if error.status in (400, 404):  # it does not run yet, or is gone
                return
            raise
        for line in text.splitlines():
            found = _LINE.fullmatch(line)
            # `since` counts whole seconds, so some come again.
            if found and _moment(found[1]) > _moment(seen):
                self._seen[pod] = found[1]
                yield found[2]


def _order(pod: Pod) -> tuple[int, int]:
    labels = pod["metadata"].get("labels", {})
    return int(labels.get(_ATTEMPT, 0)), int(labels.get(_INDEX, 0))


def _state(pod: Pod) -> Mapping[str, Any]:
    statuses = pod.get("status", {}).get("containerStatuses") or [{}]
    return dict(statuses[0].get("state", {}))


def _trouble(pod: Pod, state: Mapping[str, Any]) -> str:
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
