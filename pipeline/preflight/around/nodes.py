"""Which nodes a pod fits on, as the scheduler decides: S220."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.preflight.around.references import NodeNeed
from pipeline.preflight.findings import Finding
from pipeline.preflight.quantities import quantity, readable

_BLOCKING = ("NoSchedule", "NoExecute")
_CORDONED = "node.kubernetes.io/unschedulable"  # said by `unschedulable`, too


def check_nodes(need: NodeNeed, nodes: Sequence[Any]) -> Finding | None:
    """Whether one of the nodes (V1Node) would take the pod, were it empty."""
    reasons = Counter(reason for node in nodes for reason in _obstacles(need, node)[:1])
    if sum(reasons.values()) < len(nodes):
        return None
    told = "; ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    return Finding(
        code="S220",
        where=f"executors {', '.join(need.steps[:4])}",
        what=f"of {len(nodes)} nodes none fits" + (f": {told}" if told else ""),
    )


def _obstacles(need: NodeNeed, node: Any) -> list[str]:
    labels = node.metadata.labels or {}
    found = []
    for name, value in need.selector.items():
        if labels.get(name) != value:
            found.append(f"without the label {name}={value}")
    for expression in need.expressions:
        if not _matches(expression, labels):
            found.append(f"whose label {expression.get('key')} does not match")
    if node.spec.unschedulable:
        found.append("cordoned")
    for taint in node.spec.taints or ():
        blocks = taint.effect in _BLOCKING and taint.key != _CORDONED
        if blocks and not any(_tolerates(t, taint) for t in need.tolerations):
            value = f"={taint.value}" if taint.value else ""
            found.append(f"with the taint {taint.key}{value}:{taint.effect}")
    there = node.status.allocatable or {}
    for resource, amount in need.amounts.items():
        has = quantity(str(there.get(resource, "0"))) or 0.0
        if has < amount:
            found.append(f"with less {resource} than {_amount(amount, resource)}")
    ready = [c.status for c in node.status.conditions or () if c.type == "Ready"]
    if ready and ready[0] != "True":
        found.append("not ready")
    return found


def _matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression.get("key", ""), expression.get("values", ())
    match expression.get("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case "Gt" | "Lt" as operator:
            has, limit = quantity(labels.get(key, "")), quantity((*values, "")[0])
            if has is None or limit is None:
                return False
            return has > limit if operator == "Gt" else has < limit
        case _:
            return True


def _tolerates(toleration: Mapping[str, Any], taint: Any) -> bool:
    if "tolerationJson" in toleration:
        return True  # a parameter: not known before the run
    effect, key = toleration.get("effect"), toleration.get("key", "")
    if effect and effect != taint.effect:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return key in ("", taint.key)
    return key == taint.key and toleration.get("value", "") == (taint.value or "")


def _amount(amount: float, resource: str) -> str:
    return readable(amount) if resource == "memory" else f"{amount:g}"
