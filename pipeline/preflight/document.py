"""A compiled pipeline as the checks see it: tasks, components, executors.

It is made from the parsed messages, so that its shapes are those of the schemas,
whatever the file holds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

ROOT = "root"
_WITHOUT_POD = "argostub/"
_NONE: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Task:
    """A task in the DAG of a component, or of the root."""

    dag: str  # the component's name, or ROOT
    name: str
    spec: Mapping[str, Any]  # PipelineTaskSpec

    @property
    def where(self) -> str:
        return f"task {self.dag}/{self.name}"

    @property
    def component(self) -> str:
        return str(self.spec.get("componentRef", _NONE).get("name", ""))

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        return self.spec.get("inputs", _NONE).get("parameters", _NONE)

    @property
    def artifacts(self) -> Mapping[str, Mapping[str, Any]]:
        return self.spec.get("inputs", _NONE).get("artifacts", _NONE)

    @property
    def condition(self) -> str:
        return str(self.spec.get("triggerPolicy", _NONE).get("condition", ""))

    @property
    def is_cached(self) -> bool:
        return bool(self.spec.get("cachingOptions", _NONE).get("enableCache"))

    @property
    def loop(self) -> Mapping[str, Any]:
        """Its parameter iterator, empty where it is no loop over parameters."""
        return self.spec.get("parameterIterator", _NONE)

    @property
    def is_loop(self) -> bool:
        return "parameterIterator" in self.spec or "artifactIterator" in self.spec


@dataclass(frozen=True)
class Step:
    """An executor that is a container, with what Kubernetes is told of it."""

    executor: str
    container: Mapping[str, Any]  # PipelineContainerSpec
    kubernetes: Mapping[str, Any]  # KubernetesExecutorConfig
    is_readable: bool = True  # else nothing is known of what Kubernetes is told

    @property
    def where(self) -> str:
        return f"executor {self.executor}"

    @property
    def name(self) -> str:
        """As its component is called, such as train-model."""
        return self.executor.removeprefix("exec-")

    @property
    def image(self) -> str:
        return str(self.container.get("image", ""))

    @property
    def env(self) -> Mapping[str, str]:
        """The variables with literal values."""
        given = self.container.get("env", ())
        return {entry.get("name", ""): entry.get("value", "") for entry in given}

    @property
    def resources(self) -> Mapping[str, Any]:
        return self.container.get("resources", _NONE)

    @property
    def gpus(self) -> int:
        """How many accelerators; 1 where the number is a parameter."""
        asked = self.resources.get("accelerator", _NONE)
        count = asked.get("resourceCount") or asked.get("count") or "0"
        return int(count) if str(count).isdigit() else 1

    @property
    def texts(self) -> tuple[str, ...]:
        """Command and arguments."""
        return (*self.container.get("command", ()), *self.container.get("args", ()))

    def all(self, name: str) -> tuple[Mapping[str, Any], ...]:
        """The entries of a list in its Kubernetes settings, such as secretAsEnv."""
        return tuple(self.kubernetes.get(name, ()))


@dataclass(frozen=True)
class Document:
    """Both documents of a compiled file. What could not be parsed is empty."""

    spec: Mapping[str, Any] = field(default_factory=dict)  # PipelineSpec
    executors: Mapping[str, Any] = field(default_factory=dict)  # ExecutorSpec
    kubernetes: Mapping[str, Any] = field(default_factory=dict)  # None: unreadable
    pipeline_deadline_s: int = 0  # of the platform's PipelineConfig

    @property
    def name(self) -> str:
        return str(self.spec.get("pipelineInfo", _NONE).get("name", ""))

    @property
    def sdk_version(self) -> str:
        return str(self.spec.get("sdkVersion", "")).removeprefix("kfp-")

    @property
    def components(self) -> Mapping[str, Mapping[str, Any]]:
        """All of them, the root under its own name."""
        root = {ROOT: self.spec["root"]} if "root" in self.spec else {}
        return {**self.spec.get("components", _NONE), **root}

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The pipeline's parameters that have a default, with it."""
        declared = self.declared(ROOT, "parameters")
        return {
            name: parameter["defaultValue"]
            for name, parameter in declared.items()
            if "defaultValue" in parameter
        }

    def declared(self, component: str, kind: str) -> Mapping[str, Mapping[str, Any]]:
        """The inputs that a component declares: `parameters` or `artifacts`."""
        inputs = self.components.get(component, _NONE).get("inputDefinitions", _NONE)
        return inputs.get(kind, _NONE)

    def tasks(self) -> Iterator[Task]:
        """Every task of every DAG."""
        for name, component in self.components.items():
            for task, spec in component.get("dag", _NONE).get("tasks", _NONE).items():
                yield Task(name, task, spec)

    def steps(self) -> Iterator[Step]:
        """Every container; KFP's driver makes and deletes claims without one."""
        for name, executor in self.executors.items():
            image = executor.get("container", _NONE).get("image", "")
            if "container" in executor and not image.startswith(_WITHOUT_POD):
                pod = self.kubernetes.get(name, _NONE)
                yield Step(name, executor["container"], pod or {}, pod is not None)

    def tasks_of(self, step: Step) -> list[Task]:
        """The tasks that run a step."""
        owners = {
            name
            for name, component in self.components.items()
            if component.get("executorLabel") == step.executor
        }
        return [task for task in self.tasks() if task.component in owners]
