"""The pods of a compiled pipeline, and what can be wrong with them: P120, P16x."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.dag.document import Document
from pipeline.dag.quantities import quantity
from pipeline.preflight.findings import Finding
from seglib.environment import CHECKPOINTS

_SHM = "/dev/shm"
_DEFAULT_SHM_BYTES = 64 * 2**20  # of a container runtime
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


@dataclass(frozen=True)
class Pod:
    """The pod of a step."""

    executor: str  # its name, such as "exec-train-model"
    container: Mapping[str, Any]  # KFP's PipelineContainerSpec
    settings: Mapping[str, Any]  # KFP's KubernetesExecutorConfig
    retries: int  # attempts after the first

    @property
    def where(self) -> str:
        return f"executor {self.executor}"

    @property
    def step(self) -> str:
        """The step's verb, such as "train"."""
        return self.executor.removeprefix("exec-").partition("-")[0]

    @property
    def image(self) -> str:
        return str(self.container.get("image", ""))

    @property
    def env(self) -> Mapping[str, str]:
        """Environment variables with literal values."""
        given = self.container.get("env", ())
        return {entry.get("name", ""): entry.get("value", "") for entry in given}

    @property
    def gpu_type(self) -> str:
        accelerator = self.container.get("resources", {}).get("accelerator", {})
        return str(accelerator.get("resourceType", ""))

    @property
    def gpus(self) -> int:
        accelerator = self.container.get("resources", {}).get("accelerator", {})
        return int(quantity(accelerator.get("resourceCount", "0")) or 0)

    def limit(self, resource: str) -> float | None:
        """Cores of "Cpu" or bytes of "Memory"; None: as many as the node has."""
        return self._amount(f"resource{resource}Limit")

    def request(self, resource: str) -> float | None:
        """Cores of "Cpu" or bytes of "Memory" that a node must have."""
        return self._amount(f"resource{resource}Request") or self.limit(resource)

    @property
    def shm_bytes(self) -> float:
        """Size of /dev/shm; infinite where only the memory limits it."""
        for mount in self.entries("emptyDirMounts"):
            if mount.get("mountPath") == _SHM:
                return quantity(mount.get("sizeLimit", "")) or float("inf")
        return _DEFAULT_SHM_BYTES

    def entries(self, name: str) -> tuple[Mapping[str, Any], ...]:
        """Entries of a list in the Kubernetes settings, such as secretAsEnv."""
        return tuple(self.settings.get(name, ()))

    def _amount(self, name: str) -> float | None:
        return quantity(self.container.get("resources", {}).get(name, ""))


def pods_of(document: Document) -> list[Pod]:
    """The pods of all steps."""
    components = document.spec.get("components", {})
    retries: dict[str, int] = {}
    for task in document.tasks():
        component = components.get(task.get("componentRef", {}).get("name", ""), {})
        policy = task.get("retryPolicy", {})
        retries[component.get("executorLabel", "")] = policy.get("maxRetryCount", 0)
    return [
        Pod(
            name,
            executor.get("container", {}),
            document.settings.get(name, {}),
            retries.get(name, 0),
        )
        for name, executor in document.executors.items()
    ]


def check_pods(pods: list[Pod]) -> Iterator[Finding]:
    """Check what the cluster file and the options of `compile` can get wrong."""
    yield from _check_images(pods)
    for pod in pods:
        limits = {"CPU": pod.limit("Cpu"), "memory": pod.limit("Memory")}
        missing = [name for name, limit in limits.items() if limit is None]
        no_retry = not pod.retries and pod.step == "train" and _keeps_checkpoints(pod)
        user = pod.settings.get("securityContext", {}).get("runAsUser", 0)
        for code, is_wrong, what in (
            ("P160", missing, f"it has no limit of {' and '.join(missing)}"),
            (
                "P161",
                pod.gpus and pod.shm_bytes <= _DEFAULT_SHM_BYTES,
                f"it has {pod.gpus} GPU(s) and no volume at {_SHM}",
            ),
            ("P162", no_retry, f"{CHECKPOINTS} is set, and `retries` is 0"),
            (
                "P163",
                not int(pod.settings.get("activeDeadlineSeconds", 0)),
                "it has no timeout",
            ),
            ("P164", not int(user), "its user is 0"),
        ):
            if is_wrong:
                yield Finding(code, pod.where, what)


def _check_images(pods: list[Pod]) -> Iterator[Finding]:
    executors: dict[str, list[str]] = {}
    for pod in pods:
        executors.setdefault(pod.image, []).append(pod.executor)
    for image, names in executors.items():
        if _DIGEST.search(image):
            continue
        if "@" in image:
            what = f"{image} has a malformed digest"
        else:
            is_tagged = ":" in image.rpartition("/")[2]
            what = f"{image} has {'a tag' if is_tagged else 'neither tag nor digest'}"
        yield Finding("P120", f"executors {', '.join(sorted(names))}", what)


def _keeps_checkpoints(pod: Pod) -> bool:
    sources = (*pod.entries("configMapAsEnv"), *pod.entries("secretAsEnv"))
    names = (
        pair.get("envVar", "") for one in sources for pair in one.get("keyToEnv", ())
    )
    return bool(pod.env.get(CHECKPOINTS)) or CHECKPOINTS in names
