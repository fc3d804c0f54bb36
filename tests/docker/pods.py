"""The pods of a training as containers: each as its document says, all on one network.

What of a pod an engine cannot do is left out: which node it is on, and its quota of
processors, which may be more than this machine has.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.dag.quantities import size_bytes
from pipeline.train_job.plan import Training, host_names
from pipeline.train_job.resources import documents

# Where the engine's own tmpfs is not what an emptyDir is.
_EMPTY_DIR = "exec,mode=1777"


class Pods:
    """Containers of one training, on a network from which nothing else is reached.

    Args:
        engine: a client of the container engine.
        given: what the cluster holds, in ConfigMaps and Secrets: key → value.
    """

    def __init__(
        self, engine: Any, network: Any, training: Training, name: str, given: Any
    ):
        self._engine, self._network = engine, network
        self._given: Mapping[str, str] = given
        self._hosts = host_names(name, training.nodes)
        runtime = documents(training, name)[1]
        (job,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
        self.spec = job["template"]["spec"]["template"]["spec"]
        self.all: list[Any] = []

    def start(self, indices: Iterable[int] = (0, 1)) -> list[Any]:
        """Start some of the pods, by their index."""
        (container,) = self.spec["containers"]
        return [
            self._start(
                container["command"],
                [_expanded(word) for word in container["args"]],
                self._environment(container, index),
                host=self._hosts[index],
            )
            for index in indices
        ]

    def run(self, command: list[str], environment: Mapping[str, str]) -> Any:
        """Start another container as strict as a pod, on the same network."""
        (container,) = self.spec["containers"]
        stated = self._environment(container, 0)
        own = {k: v for k, v in stated.items() if not k.startswith("SEGLIB_HOST")}
        return self._start(command[:1], command[1:], {**own, **environment})

    def stop(self, pod: Any) -> None:
        """As Kubernetes does: SIGTERM, and SIGKILL when the time of grace is over."""
        pod.stop(timeout=self.spec["terminationGracePeriodSeconds"])

    def remove(self) -> None:
        for container in self.all:
            container.remove(force=True)
        self.all.clear()

    def _start(
        self, command: Any, arguments: Any, variables: Mapping[str, str], host: str = ""
    ) -> Any:
        (container,) = self.spec["containers"]
        own, pod = container["securityContext"], self.spec["securityContext"]
        assert own["allowPrivilegeEscalation"] is False
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}, "Docker's default"
        volumes = {one["name"]: one["emptyDir"] for one in self.spec["volumes"]}
        mounts = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
        memory = volumes[mounts.pop("/dev/shm")]
        place = self._engine.api.create_endpoint_config(aliases=[host] if host else [])
        started = self._engine.containers.create(
            container["image"],
            arguments,
            entrypoint=command,
            environment=dict(variables),
            hostname=host.partition(".")[0] or None,
            user=f"{pod['runAsUser']}:{pod['runAsGroup']}",
            group_add=[pod["fsGroup"]],
            read_only=own["readOnlyRootFilesystem"],
            cap_drop=own["capabilities"]["drop"],
            security_opt=["no-new-privileges"],
            tmpfs=dict.fromkeys(mounts, _EMPTY_DIR),
            shm_size=size_bytes(memory["sizeLimit"]),
            mem_limit=size_bytes(container["resources"]["limits"]["memory"]),
            network=self._network.name,
            networking_config={self._network.name: place},
        )
        self.all.append(started)
        started.start()
        return started

    def _environment(self, container: Mapping[str, Any], index: int) -> dict[str, str]:
        """The variables, as the kubelet would set them."""
        found = {}
        for variable in container["env"]:
            source = variable.get("valueFrom", {})
            if "fieldRef" in source:
                field = source["fieldRef"]["fieldPath"]
                is_index = "job-completion-index" in field
                found[variable["name"]] = str(index) if is_index else "0"
            elif not source:
                found[variable["name"]] = _expanded(variable["value"])
            else:
                (reference,) = source.values()
                if reference["key"] in self._given:
                    found[variable["name"]] = self._given[reference["key"]]
                else:
                    assert reference.get("optional"), reference
        return found


def _expanded(text: str) -> str:
    """As the kubelet reads a text without references: `$$` is `$`."""
    assert "$(" not in text.replace("$$", "")
    return text.replace("$$", "$")
