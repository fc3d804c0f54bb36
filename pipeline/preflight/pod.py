"""The pod of a step, as a compiled pipeline describes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.dag.document import Document
from pipeline.dag.quantities import quantity

SHM = "/dev/shm"
DEFAULT_SHM_BYTES = 64 * 2**20  # of a container runtime


@dataclass(frozen=True)
class Pod:
    """One executor.

    Attributes:
        executor: its name, such as "exec-train-model".
        container: KFP's PipelineContainerSpec.
        settings: KFP's KubernetesExecutorConfig.
        retries: attempts after the first.
    """

    executor: str
    container: Mapping[str, Any]
    settings: Mapping[str, Any]
    retries: int

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
        return str(self._resources.get("accelerator", {}).get("resourceType", ""))

    @property
    def gpus(self) -> int:
        count = self._resources.get("accelerator", {}).get("resourceCount", "0")
        return int(quantity(count) or 0)

    @property
    def cpu_limit(self) -> float | None:
        return self._amount("resourceCpuLimit")

    @property
    def cpu_request(self) -> float | None:
        """Cores that a node must have."""
        return self._amount("resourceCpuRequest") or self.cpu_limit

    @property
    def memory_limit(self) -> float | None:
        """Bytes; None: as many as the node has."""
        return self._amount("resourceMemoryLimit")

    @property
    def memory_request(self) -> float | None:
        """Bytes that a node must have."""
        return self._amount("resourceMemoryRequest") or self.memory_limit

    @property
    def shm_bytes(self) -> float:
        """Size of /dev/shm; infinite where only the memory limits it."""
        for mount in self.entries("emptyDirMounts"):
            if mount.get("mountPath") == SHM:
                return quantity(mount.get("sizeLimit", "")) or float("inf")
        return DEFAULT_SHM_BYTES

    def entries(self, name: str) -> tuple[Mapping[str, Any], ...]:
        """Entries of a list in the Kubernetes settings, such as secretAsEnv."""
        return tuple(self.settings.get(name, ()))

    @property
    def _resources(self) -> Mapping[str, Any]:
        resources: Mapping[str, Any] = self.container.get("resources", {})
        return resources

    def _amount(self, name: str) -> float | None:
        return quantity(self._resources.get(name, ""))


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
