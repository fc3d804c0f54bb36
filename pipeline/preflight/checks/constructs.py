"""Constructs that compile and then do something else: P140 … P146."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.preflight.document import ROOT, Document, Step, Task
from pipeline.preflight.findings import Finding

_IN_CONDITION = re.compile(r"inputs\.parameter_values\['([^']+)'\]")
_CHANNEL = "pipelinechannel--"
_MADE_BY_KFP = ("comp-condition-", "comp-for-loop-", "comp-exit-handler-")
_STRUCTURED = ("LIST", "STRUCT")
_WHOLE = re.compile(r"\{\{\$[^{}]*\}\}")


def check_constructs(document: Document) -> Iterator[Finding]:
    """What the backend, or the local runner, does not do as it is written."""
    for task in document.tasks():
        yield from _check_condition(document, task)
        yield from _check_loop(task)
        yield from _check_item_names(document, task)
        yield from _check_nested(document, task)
    yield from _check_numbers(document)
    for step in document.steps():
        yield from _check_placeholders(step)


def _check_condition(document: Document, task: Task) -> Iterator[Finding]:
    for name in dict.fromkeys(_IN_CONDITION.findall(task.condition)):
        key = _origin(document, task, name)
        if key not in ("", "Output"):
            what = f"it asks for the output {key}"
            yield Finding(code="P140", where=task.where, what=what)


def _origin(document: Document, task: Task, name: str) -> str:
    """The key of the task output that a condition's input comes from; "" if none.

    Conditions in conditions get it from the DAG around them.
    """
    for _ in range(20):  # DAGs within each other
        source = task.parameters.get(name, {})
        if output := source.get("taskOutputParameter"):
            return str(output.get("outputParameterKey", ""))
        outer = source.get("componentInputParameter")
        parents = [t for t in document.tasks() if t.component == task.dag]
        if not outer or not parents:
            break
        task, name = parents[0], outer
    return ""


def _check_loop(task: Task) -> Iterator[Finding]:
    """A loop that hands a task's output to its body."""
    if not task.is_loop:
        return
    items = task.loop.get("items", {}).get("inputParameter")
    for name, source in task.parameters.items():
        if "taskOutputParameter" in source and name != items:
            output = source["taskOutputParameter"]
            yield Finding(
                code="P141",
                where=task.where,
                what=f"its body uses {output.get('outputParameterKey')} of "
                f"{output.get('producerTask')}",
            )


def _check_item_names(document: Document, task: Task) -> Iterator[Finding]:
    items = {
        other.loop["itemInput"].removeprefix(_CHANNEL)
        for other in document.tasks()
        if other.loop.get("itemInput")
    }
    for name, source in task.parameters.items():
        constant = source.get("runtimeValue", {}).get("constant")
        if isinstance(constant, str) and constant in items:
            what = f"its input {name} gets the name of the loop's channel"
            yield Finding(code="P142", where=task.where, what=what)


def _check_nested(document: Document, task: Task) -> Iterator[Finding]:
    component = document.components.get(task.component, {})
    own = not task.component.startswith(_MADE_BY_KFP)
    if own and "dag" in component and document.declared(task.component, "artifacts"):
        what = f"the nested pipeline {task.component} takes artifacts"
        yield Finding(code="P146", where=task.where, what=what)


def _check_numbers(document: Document) -> Iterator[Finding]:
    for component in document.components:
        for name, declared in document.declared(component, "parameters").items():
            if declared.get("parameterType") not in _STRUCTURED:
                continue
            if _holds_whole_numbers(declared.get("defaultValue")):
                what = "its default holds whole numbers"
                yield Finding(code="P143", where=_parameter(component, name), what=what)
    for task in document.tasks():
        for name, source in task.parameters.items():
            constant = source.get("runtimeValue", {}).get("constant")
            if isinstance(constant, list | Mapping) and _holds_whole_numbers(constant):
                what = f"its input {name} holds whole numbers"
                yield Finding(code="P143", where=task.where, what=what)


def _holds_whole_numbers(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_whole_numbers, value.values()))
    if isinstance(value, list):
        return any(map(_holds_whole_numbers, value))
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float) and float(value).is_integer()


def _check_placeholders(step: Step) -> Iterator[Finding]:
    for name, value in step.env.items():
        if "{{$" in value:
            yield Finding(
                code="P144",
                where=f"{step.where}, env {name}",
                what="its value is a placeholder",
            )
    for name, value in (("image", step.image), *_texts(step.resources, "resources")):
        if "{{$" in value and not _WHOLE.fullmatch(value):
            what = "it is a placeholder and more"
            yield Finding(code="P145", where=f"{step.where}, {name}", what=what)
    for name, value in _texts(step.kubernetes, "pod"):
        if "{{$" in value and not _WHOLE.fullmatch(value):
            what = "it is a placeholder and more"
            yield Finding(code="P145", where=f"{step.where}, {name}", what=what)


def _texts(tree: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _texts(value, f"{path}.{key}")
    elif isinstance(tree, list):
        for value in tree:
            yield from _texts(value, path)
    elif isinstance(tree, str):
        yield path, tree


def _parameter(component: str, name: str) -> str:
    if component == ROOT:
        return f"pipeline parameter {name}"
    return f"component {component}, parameter {name}"
