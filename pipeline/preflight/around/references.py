"""What a document refers to in a cluster: secrets, config maps, claims, nodes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.preflight.checks.pods import memory_limit
from pipeline.preflight.document import Document, Step
from pipeline.preflight.quantities import quantity


@dataclass(frozen=True)
class Reference:
    """An object that pods need, with those of its keys that they take."""

    kind: str  # "secret", "config map" or "volume claim"
    name: str
    keys: frozenset[str]
    steps: tuple[str, ...]  # executors that need it


@dataclass(frozen=True)
class NodeNeed:
    """What a node must have for a step's pod."""

    amounts: Mapping[str, float]  # resource -> amount
    selector: Mapping[str, str]
    tolerations: tuple[Mapping[str, Any], ...]
    expressions: tuple[Mapping[str, Any], ...]  # of required node affinity
    steps: tuple[str, ...]


def references(document: Document) -> list[Reference]:
    """Objects by name; names that are parameters and optional ones are left out."""
    keys: dict[tuple[str, str], set[str]] = {}
    steps: dict[tuple[str, str], list[str]] = {}
    for step in document.steps():
        for kind, name, wanted in _of_step(step):
            if name:
                keys.setdefault((kind, name), set()).update(wanted)
                steps.setdefault((kind, name), []).append(step.executor)
    return [
        Reference(
            kind, name, frozenset(wanted), tuple(dict.fromkeys(steps[kind, name]))
        )
        for (kind, name), wanted in sorted(keys.items())
    ]


def node_needs(document: Document) -> list[NodeNeed]:
    """What steps need of nodes, equal needs together."""
    found: dict[str, NodeNeed] = {}
    for step in document.steps():
        need = _node_need(step)
        key = repr((need.amounts, need.selector, need.tolerations, need.expressions))
        same = found.get(key)
        steps = (*same.steps, step.executor) if same else (step.executor,)
        found[key] = NodeNeed(
            need.amounts, need.selector, need.tolerations, need.expressions, steps
        )
    return list(found.values())


def _of_step(step: Step) -> Iterator[tuple[str, str, set[str]]]:
    for kind, environment, volume, key in (
        ("secret", "secretAsEnv", "secretAsVolume", "secret"),
        ("config map", "configMapAsEnv", "configMapAsVolume", "configMap"),
    ):
        for source in step.all(environment):
            if not source.get("optional"):
                pairs = source.get("keyToEnv", ())
                wanted = {pair.get(f"{key}Key", "") for pair in pairs}
                yield kind, _name(source, key), wanted
        for source in step.all(volume):
            if not source.get("optional"):
                yield kind, _name(source, key), set()
    for source in step.all("imagePullSecret"):
        yield "secret", _name(source, "secret"), set()
    for source in step.all("pvcMount"):
        name = source.get("pvcNameParameter", {}).get("runtimeValue", {})
        yield "volume claim", source.get("constant") or name.get("constant", ""), set()


def _name(source: Mapping[str, Any], key: str) -> str:
    parameter = source.get(f"{key}NameParameter", {})
    constant = parameter.get("runtimeValue", {}).get("constant", "")
    return str(source.get(f"{key}Name") or constant)


def _node_need(step: Step) -> NodeNeed:
    resources = step.resources
    amounts = {
        "cpu": quantity(
            resources.get("resourceCpuRequest") or resources.get("resourceCpuLimit", "")
        ),
        "memory": quantity(resources.get("resourceMemoryRequest", ""))
        or memory_limit(step),
    }
    asked = resources.get("accelerator", {})
    kind = asked.get("resourceType") or asked.get("type", "")
    if kind and "{{" not in kind:
        amounts[kind] = step.gpus
    return NodeNeed(
        amounts={k: v for k, v in amounts.items() if v and v != float("inf")},
        selector=step.kubernetes.get("nodeSelector", {}).get("labels", {}),
        tolerations=step.all("tolerations"),
        expressions=tuple(
            expression
            for term in step.all("nodeAffinity")
            if not term.get("weight")
            for expression in term.get("matchExpressions", ())
        ),
        steps=(),
    )
