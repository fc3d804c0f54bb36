"""Whether a node fits each pod, as the scheduler decides: S220."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.dag.quantities import quantity, readable
from pipeline.preflight.findings import Finding
from pipeline.preflight.pod import Pod

_BLOCKING = ("NoSchedule", "NoExecute")
_CORDONED = "node.kubernetes.io/unschedulable"  # `unschedulable` says the same


@dataclass(frozen=True)
class NodeNeed:
    """What a node must have for a pod."""

    amounts: Mapping[str, float]  # resource -> amount
    selector: Mapping[str, str]
    tolerations: tuple[Mapping[str, Any], ...]


def check_nodes(pods: list[Pod], nodes: Sequence[Any]) -> Iterator[Finding]:
    """Find pods that none of the nodes (V1Node) would take, were it empty."""
    needs: list[tuple[NodeNeed, list[str]]] = []
    for pod in pods:
        need = _need_of(pod)
        same = next((names for other, names in needs if other == need), None)
        if same is None:
            needs.append((need, same := []))
        same.append(pod.executor)
    for need, executors in needs:
        obstacles = [_obstacle(need, node) for node in nodes]
        if all(obstacles):
            counted = Counter(obstacles).most_common()
            told = "; ".join(f"{count} {obstacle}" for obstacle, count in counted)
            what = f"of {len(nodes)} nodes none fits" + (f": {told}" if told else "")
            yield Finding("S220", f"executors {', '.join(executors[:4])}", what)


def _need_of(pod: Pod) -> NodeNeed:
    amounts = {"cpu": pod.cpu_request, "memory": pod.memory_request}
    if pod.gpu_type:
        amounts[pod.gpu_type] = pod.gpus
    return NodeNeed(
        {name: amount for name, amount in amounts.items() if amount},
        pod.settings.get("nodeSelector", {}).get("labels", {}),
        pod.entries("tolerations"),
    )


def _obstacle(need: NodeNeed, node: Any) -> str:
    """The first reason why a node does not fit; "" if it does."""
    labels = node.metadata.labels or {}
    for name, value in need.selector.items():
        if labels.get(name) != value:
            return f"without the label {name}={value}"
    if node.spec.unschedulable:
        return "cordoned"
    for taint in node.spec.taints or ():
        blocks = taint.effect in _BLOCKING and taint.key != _CORDONED
        if blocks and not any(_tolerates(one, taint) for one in need.tolerations):
            value = f"={taint.value}" if taint.value else ""
            return f"with the taint {taint.key}{value}:{taint.effect}"
    there = node.status.allocatable or {}
    for resource, amount in need.amounts.items():
        if (quantity(str(there.get(resource, "0"))) or 0) < amount:
            shown = readable(amount) if resource == "memory" else f"{amount:g}"
            return f"with less {resource} than {shown}"
    ready = [c.status for c in node.status.conditions or () if c.type == "Ready"]
    return "not ready" if ready and ready[0] != "True" else ""


def _tolerates(toleration: Mapping[str, Any], taint: Any) -> bool:
    effect, key = toleration.get("effect"), toleration.get("key", "")
    if effect and effect != taint.effect:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return key in ("", taint.key)
    return key == taint.key and toleration.get("value", "") == (taint.value or "")
