"""Settings of one pod on a Kubernetes cluster: resources, variables, user.

Secrets and ConfigMaps are given by names and keys; there is no place for a value.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from pipeline.dag.quantities import cpu_cores, duration_s, size_bytes
from seglib.errors import UsageError
from seglib.settings import Natural, require, section

_UNLIMITED_S = 365 * 86400  # of attempts that have no timeout
_LONGEST_S = 2**31 - 1  # of a deadline in Kubernetes
_DNS = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}$){_DNS}(\.{_DNS})*")  # of an object
_LABEL = re.compile(r"([A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_LABEL_NAME = re.compile(rf"({_DNS}(\.{_DNS})*/)?{_LABEL.pattern}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_PAIRS = {
    "node_selector": "a node's `label: value`",
    "annotations": "short `name: value` pairs",
}
_KEY = re.compile(r"[-.\w]{1,253}", re.ASCII)  # in a Secret or a ConfigMap


def _as_text(value: Any) -> Any:
    return str(value) if type(value) in (int, float) else value


# Of Kubernetes; YAML reads `cpu_limit: 2` as a number.
Quantity = Annotated[str, BeforeValidator(_as_text)]


@section
class Toleration:
    """A node's taint that a pod tolerates."""

    key: str = ""  # "": any, with the operator Exists
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""  # "": any

    def __post_init__(self) -> None:
        if self.operator == "Exists" and self.value:
            raise UsageError(
                "a toleration with the operator Exists has no `value`. "
                f"Received: value={self.value!r}. Leave it out, or take Equal."
            )
        if self.operator == "Equal" and not self.key:
            raise UsageError("a toleration needs a `key`, or the operator Exists.")


@section
class StepResources:
    """Resources, retries and timeout of one step's pod.

    Argo's configuration decides which failures are repeated (docs/cluster.md).
    """

    cpu_request: Quantity = "1"  # cores; "": as the limit
    cpu_limit: Quantity = "2"  # cores; "": as many as the node has
    memory_request: Quantity = ""  # "": as the limit
    memory_limit: Quantity = "4Gi"  # more is ended; "": as much as the node has
    gpus: Natural = 0
    gpu_type: str = "nvidia.com/gpu"  # the resource that `gpus` counts
    gpu_taint: bool = True  # with gpus: tolerate a taint that is called like gpu_type
    node_selector: Mapping[str, str] = field(default_factory=dict)  # label: value
    tolerations: tuple[Toleration, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)  # for autoscalers
    shm: Quantity = ""  # of /dev/shm, counts as memory; "": the runtime's 64 MB
    ephemeral_storage: Quantity = "10Gi"  # of /tmp, on the node's disk; "": no limit
    output_storage: Quantity = ""  # of KFP's output volumes; "": no limit
    retries: Natural = 2  # of a pod that Argo repeats: as KFP ships it, a deleted one
    retry_delay: Quantity = "30s"  # before the first; doubled before each further one
    timeout: Quantity = "2h"  # of one attempt; "": none

    def __post_init__(self) -> None:
        self._require_at_most("cpu_request", "cpu_limit", cpu_cores)
        self._require_at_most("memory_request", "memory_limit", size_bytes)
        self._require_at_most("shm", "memory_limit", size_bytes)
        for name in ("ephemeral_storage", "output_storage"):
            if size := getattr(self, name):
                size_bytes(size, name)
        duration_s(self.retry_delay, "retry_delay")
        limited = not self.timeout or duration_s(self.timeout, "timeout") > 0
        require(limited, "timeout", 'more than 0, or "": none', self.timeout)
        named = self.gpu_type and _LABEL_NAME.fullmatch(self.gpu_type)
        require(bool(named), "gpu_type", "such as nvidia.com/gpu", self.gpu_type)
        for name, expected in _PAIRS.items():
            for key, value in getattr(self, name).items():
                fits = _LABEL_NAME.fullmatch(key) and _LABEL.fullmatch(value)
                require(bool(fits), name, expected, f"{key}: {value}")

    @property
    def deadline_s(self) -> int:
        """Seconds from the first start until Argo ends a step, whatever its retries.

        Argo counts `backoff.maxDuration` from that start, and ends a running attempt
        when it is over. `retries` and `timeout` are the real limits, so this is longer
        than all attempts, the pauses, each twice as long as the one before, and the
        time that attempts wait for a node.
        """
        timeout_s = duration_s(self.timeout) if self.timeout else 0
        attempts_s = (self.retries + 1) * timeout_s or _UNLIMITED_S
        pauses_s = duration_s(self.retry_delay) * (2 ** min(self.retries, 32) - 1)
        return min(attempts_s + pauses_s + _UNLIMITED_S, _LONGEST_S)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that depend on the resources.

        Without a GPU, TensorFlow's error of finding none (cuInit) is hidden, as in the
        image of the CPU variant.
        """
        return {} if self.gpus else {"TF_CPP_MIN_LOG_LEVEL": "3"}

    @property
    def all_tolerations(self) -> tuple[Toleration, ...]:
        """The given ones and, with GPUs, that of their own taint."""
        taint = Toleration(key=self.gpu_type, operator="Exists", effect="NoSchedule")
        if self.gpus and self.gpu_taint and taint not in self.tolerations:
            return (*self.tolerations, taint)
        return self.tolerations

    def _require_at_most(
        self, name: str, limit: str, read: Callable[[str, str], float]
    ) -> None:
        asked, allowed = getattr(self, name), getattr(self, limit)
        sizes = [
            read(asked, name) if asked else 0,
            read(allowed, limit) if allowed else 0,
        ]
        if allowed and sizes[0] > sizes[1]:
            raise UsageError(
                f"`{name}` must be at most `{limit}`, {allowed}. Received: "
                f"{name}={asked!r}. Raise the one, or lower the other."
            )


@section
class Source:
    """Variables of the environment that come from a Secret or a ConfigMap."""

    name: str = ""
    keys: tuple[str, ...] = ()  # each becomes the variable of its own name
    variables: Mapping[str, str] = field(default_factory=dict)  # variable: key
    optional: bool = False  # a pod starts without it, or without some of its keys

    def __post_init__(self) -> None:
        require_name("name", self.name)
        for variable, key in self.environment.items():
            if not _VARIABLE.fullmatch(variable) or not _KEY.fullmatch(key):
                # It is not repeated: whatever stands there may be a secret's value.
                raise UsageError(
                    "`keys` must be names of keys that are names of variables, too, "
                    "and `variables` must be `VARIABLE: key`. Never write a value "
                    f"here: put it into the cluster, as a key of {self.name}."
                )

    @property
    def environment(self) -> dict[str, str]:
        """Variable -> key that holds its value."""
        return {**{key: key for key in self.keys}, **self.variables}


@section
class Security:
    """The user of a container.

    KFP adds for all pods: no privilege escalation, all capabilities
    dropped, the runtime's own seccomp profile. A read-only root file system it cannot
    express; as /tmp is a volume, a cluster's policy can enforce one.
    """

    run_as_user: Natural = 1000
    run_as_group: Natural = 1000
    run_as_non_root: bool = True

    def __post_init__(self) -> None:
        root = self.run_as_non_root and self.run_as_user == 0
        require(not root, "run_as_user", "> 0 with run_as_non_root", self.run_as_user)


@section
class Cache:
    """Where steps keep fetched datasets from one run to the next."""

    claim: str = "seglib-cache"  # a PersistentVolumeClaim; "": each pod's own /tmp
    mount_path: str = "/cache"  # the container's user must be able to write there

    def __post_init__(self) -> None:
        if self.claim:
            require_name("claim", self.claim)
        path = self.mount_path
        fits = re.fullmatch(r"(/[\w.-]+)+", path) is not None
        require(fits, "mount_path", "an absolute path such as /cache", path)


def require_name(name: str, value: str) -> None:
    """Raise a UsageError if a setting is not the name of a Kubernetes object."""
    fits = _NAME.fullmatch(value) is not None
    kind = "the name of a Kubernetes object: small letters, digits, - and ."
    require(fits, name, kind, value)


def require_variable(name: str, value: str) -> None:
    """Raise a UsageError if a setting is not the name of a variable."""
    fits = _VARIABLE.fullmatch(value) is not None
    require(fits, name, "names of variables: letters, digits and _", value)
