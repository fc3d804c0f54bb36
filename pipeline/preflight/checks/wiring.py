"""Whether everything that a task names is there: P104, P130, P131."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.preflight.document import Document, Step, Task
from pipeline.preflight.findings import Finding

_PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.(parameters|artifacts)\['([^']+)'\]")
_IN_CONDITION = re.compile(r"inputs\.parameter_values\['([^']+)'\]")


def check_wiring(document: Document) -> Iterator[Finding]:
    """References that lead nowhere, and inputs that nobody declares or gives."""
    yield from _check_components(document)
    for task in document.tasks():
        dangling = list(_check_references(document, task))
        yield from dangling
        if not dangling:
            yield from _check_inputs(document, task)
    for step in document.steps():
        yield from _check_names(document, step)


def _check_components(document: Document) -> Iterator[Finding]:
    for name, component in document.components.items():
        label = component.get("executorLabel")
        if label and label not in document.executors:
            yield _dangling(f"component {name}", f"there is no executor {label}")
        if not label and "dag" not in component:
            what = "it has neither an executor nor a DAG"
            yield _dangling(f"component {name}", what)


def _check_references(document: Document, task: Task) -> Iterator[Finding]:
    siblings = document.components[task.dag]["dag"]["tasks"]
    if task.component not in document.components:
        what = f"there is no component {task.component or '(none is named)'}"
        yield _dangling(task.where, what)
    for other in task.spec.get("dependentTasks", ()):
        if other not in siblings:
            yield _dangling(task.where, f"it waits for {other}, which is not there")
    for source in (*task.parameters.values(), *task.artifacts.values()):
        for output, kind, key in (
            ("taskOutputParameter", "parameters", "outputParameterKey"),
            ("taskOutputArtifact", "artifacts", "outputArtifactKey"),
        ):
            if output in source:
                yield from _check_output(document, task, source[output], kind, key)


def _check_output(
    document: Document, task: Task, source: Mapping[str, Any], kind: str, key: str
) -> Iterator[Finding]:
    siblings = document.components[task.dag]["dag"]["tasks"]
    producer, output = source.get("producerTask", ""), source.get(key, "")
    if producer not in siblings:
        yield _dangling(task.where, f"it takes from {producer}, which is not there")
        return
    made = siblings[producer].get("componentRef", {}).get("name", "")
    component = document.components.get(made)
    if component is None:
        return  # which is a finding of the producer
    if output not in component.get("outputDefinitions", {}).get(kind, {}):
        yield _dangling(task.where, f"{producer} has no output {output}")


def _check_inputs(document: Document, task: Task) -> Iterator[Finding]:
    for kind, given, one in (
        ("parameters", task.parameters, "componentInputParameter"),
        ("artifacts", task.artifacts, "componentInputArtifact"),
    ):
        around = document.declared(task.dag, kind)
        for source in given.values():
            wanted = source.get(one)
            if wanted and wanted not in around:
                yield _undeclared(task.where, wanted, task.dag)
        for name, declared in document.declared(task.component, kind).items():
            fills_itself = name == task.loop.get("itemInput") or task.is_loop
            optional = declared.get("isOptional") or "defaultValue" in declared
            if name not in given and not optional and not fills_itself:
                yield Finding(
                    code="P131",
                    where=task.where,
                    what=f"{task.component} needs the input {name}",
                )
    for name in _IN_CONDITION.findall(task.condition):
        if name not in task.parameters:
            yield _undeclared(f"{task.where}, its condition", name, "the task")


def _check_names(document: Document, step: Step) -> Iterator[Finding]:
    """Inputs of the DAG that names of secrets, claims … of a task are taken from."""
    for task in document.tasks_of(step):
        around = document.declared(task.dag, "parameters")
        for wanted in _component_inputs(step.kubernetes):
            if wanted not in around:
                yield _undeclared(f"{task.where}, its pod's settings", wanted, task.dag)
        here = {*task.parameters, *document.declared(task.component, "parameters")}
        used = {
            name
            for value in _values(step.resources)
            for kind, name in _PLACEHOLDER.findall(value)
            if kind == "parameters"
        }
        for name in sorted(used - here):
            yield _undeclared(f"{task.where}, its resources", name, "the task")


def _component_inputs(tree: Any) -> Iterator[str]:
    if isinstance(tree, Mapping):
        if isinstance(found := tree.get("componentInputParameter"), str):
            yield found
        for value in tree.values():
            yield from _component_inputs(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _component_inputs(value)


def _values(tree: Any) -> Iterator[str]:
    if isinstance(tree, Mapping):
        for value in tree.values():
            yield from _values(value)
    elif isinstance(tree, str):
        yield tree


def _dangling(where: str, what: str) -> Finding:
    return Finding(code="P104", where=where, what=what)


def _undeclared(where: str, name: str, owner: str) -> Finding:
    return Finding(code="P130", where=where, what=f"{owner} does not declare {name}")
