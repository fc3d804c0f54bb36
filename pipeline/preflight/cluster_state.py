"""Whether a cluster has what the pods need: S201 … S220."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import yaml
from kubernetes import client
from kubernetes.client import ApiException
from urllib3.exceptions import HTTPError

from pipeline.dag.quantities import quantity, readable
from pipeline.kfp.failures import ClusterError
from pipeline.kfp.kubernetes_api import kubernetes_at
from pipeline.preflight.findings import Finding, FoundError
from pipeline.preflight.looking import Look, Seen, look_at_all, reason
from pipeline.preflight.pods import Pod

_KFP_NAMESPACE = "kubeflow"
_LONGEST = 3  # timeouts, of a request that is repeated once
_KINDS = {  # kind: its name in the client, the codes if it or one of its keys is absent
    "service account": ("service_account", "S204", ""),
    "secret": ("secret", "S210", "S211"),
    "config map": ("config_map", "S212", "S213"),
    "volume claim": ("persistent_volume_claim", "S214", ""),
}
_BLOCKING = ("NoSchedule", "NoExecute")
_CORDONED = "node.kubernetes.io/unschedulable"  # `unschedulable` says the same
_ARGO = "workflow-controller-configmap"
_FAILS = "that fails (exit code, memory, timeout)"
_REPEATED = {
    "Always": f"a step {_FAILS} and one whose pod is deleted",
    "OnError": f"a step whose pod is deleted, and none {_FAILS}",
    "OnFailure": f"a step {_FAILS}, and none whose pod is deleted",
    "OnTransientError": "errors that its controller's TRANSIENT_ERROR_PATTERN names",
}


def see_cluster(
    pods: list[Pod],
    *,
    context: str,
    namespace: str,
    service_account: str,
    timeout_s: float,
) -> Seen:
    """Look at everything that the pods need.

    Args:
        context: of kubeconfig; "": its current one.
        namespace: of the runs.
        service_account: of the pods; "": not looked at.
        timeout_s: of each request.
    """
    try:
        found = kubernetes_at(namespace, context=context, timeout_s=timeout_s)
    except (ClusterError, yaml.YAMLError, OSError) as error:
        what = f"no kubeconfig that can be used: {error}"
        raise FoundError("S201", "the cluster", what) from error
    api = _Api(client.CoreV1Api(found.client), namespace)
    # Everybody may ask for the version.
    api.call(client.VersionApi(found.client).get_code, "the cluster", "S201")
    try:
        where = f"namespace {namespace}"
        api.call(partial(api.core.read_namespace, namespace), where, "S203")
    except FoundError as error:
        if error.finding.code != "S205":  # not allowed to look
            raise
    looks: list[Callable[[], Seen]] = [
        partial(_see_reference, api, kind, name, keys, ", ".join(executors))
        for (kind, name), (keys, executors) in sorted(_references(pods).items())
    ]
    if service_account:
        account = ("service account", service_account, set[str](), "")
        looks.append(partial(_see_reference, api, *account))
    looks.append(partial(_see_nodes, api, pods))
    looks.append(partial(_see_argo, api, pods))
    limit_s = _LONGEST * timeout_s
    yield from look_at_all([Look("the cluster", see, limit_s) for see in looks])
    yield f"namespace {namespace}: {len(looks)} things looked at"


@dataclass(frozen=True)
class _Api:
    """The API of a cluster; a refusal is a FoundError."""

    core: client.CoreV1Api
    namespace: str

    def read(self, kind: str, name: str, namespace: str = "") -> Any:
        resource, absent, _ = _KINDS[kind]
        read = getattr(self.core, f"read_namespaced_{resource}")
        call = partial(read, name, namespace or self.namespace)
        return self.call(call, f"{kind} {name}", absent)

    def call(self, call: Callable[..., Any], where: str, absent: str) -> Any:
        """The answer; a 404 is a finding of the code `absent`."""
        try:
            return call()
        except ApiException as error:
            status = error.status or 0
        except (HTTPError, OSError) as error:
            what = f"its API does not answer: {reason(error)}"
            raise FoundError("S201", "the cluster", what) from error
        if status == 404 and absent != "S201":
            place = "" if absent == "S203" else f" in {self.namespace}"
            raise FoundError(absent, where, f"there is none{place}")
        if status == 403 and where != "the cluster":
            raise FoundError("S205", where, "the account in use may not read it")
        code = "S202" if status in (401, 403) else "S201"
        raise FoundError(code, where, f"its API answers {status}")


def _references(
    pods: list[Pod],
) -> dict[tuple[str, str], tuple[set[str], list[str]]]:
    """(kind, name) of each object that pods need -> keys that they take, executors."""
    found: dict[tuple[str, str], tuple[set[str], list[str]]] = {}

    def add(pod: Pod, kind: str, name: str, wanted: set[str]) -> None:
        keys, executors = found.setdefault((kind, name), (set(), []))
        keys |= wanted
        if pod.executor not in executors:
            executors.append(pod.executor)

    for pod in pods:
        for kind, field in (("secret", "secret"), ("config map", "configMap")):
            for source in pod.entries(f"{field}AsEnv"):
                if not source.get("optional"):
                    pairs = source.get("keyToEnv", ())
                    wanted = {pair.get(f"{field}Key", "") for pair in pairs}
                    add(pod, kind, source.get(f"{field}Name", ""), wanted)
        for source in pod.entries("imagePullSecret"):
            add(pod, "secret", source.get("secretName", ""), set())
        for source in pod.entries("pvcMount"):
            add(pod, "volume claim", source.get("constant", ""), set())
    return found


def _see_reference(
    api: _Api, kind: str, name: str, keys: set[str], executors: str
) -> Seen:
    found, where = api.read(kind, name), f"{kind} {name}"
    if kind == "volume claim" and found.status and found.status.phase == "Lost":
        yield Finding("S215", where, f"{executors} mount it")
    if keys:
        there = {*(found.data or {}), *(getattr(found, "binary_data", None) or {})}
        if missing := sorted(keys - there):
            what = f"it has no key {', '.join(missing)}, for {executors}"
            yield Finding(_KINDS[kind][2], where, what)


def _see_nodes(api: _Api, pods: list[Pod]) -> Seen:
    """Find pods that none of the nodes would take, were it empty."""
    nodes: Sequence[Any] = api.call(api.core.list_node, "nodes", "S201").items
    found: dict[str, list[str]] = {}
    for pod in pods:
        obstacles = [_obstacle(pod, node) for node in nodes]
        if all(obstacles):
            counted = Counter(obstacles).most_common()
            told = "; ".join(f"{count} {obstacle}" for obstacle, count in counted)
            what = f"of {len(nodes)} nodes none fits" + (f": {told}" if told else "")
            found.setdefault(what, []).append(pod.executor)
    for what, executors in found.items():
        yield Finding("S220", f"executors {', '.join(executors[:4])}", what)


def _obstacle(pod: Pod, node: Any) -> str:
    """The first reason why the scheduler does not take a node; "" if it does."""
    labels = node.metadata.labels or {}
    wanted = pod.settings.get("nodeSelector", {}).get("labels", {})
    for name, value in wanted.items():
        if labels.get(name) != value:
            return f"without the label {name}={value}"
    if node.spec.unschedulable:
        return "cordoned"
    for taint in node.spec.taints or ():
        blocks = taint.effect in _BLOCKING and taint.key != _CORDONED
        if blocks and not any(_tolerates(t, taint) for t in pod.entries("tolerations")):
            value = f"={taint.value}" if taint.value else ""
            return f"with the taint {taint.key}{value}:{taint.effect}"
    there = node.status.allocatable or {}
    amounts = {"cpu": pod.request("Cpu"), "memory": pod.request("Memory")}
    for resource, amount in (amounts | {pod.gpu_type: pod.gpus}).items():
        if (quantity(str(there.get(resource, "0"))) or 0) < (amount or 0):
            shown = readable(amount or 0) if resource == "memory" else f"{amount:g}"
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


def _see_argo(api: _Api, pods: list[Pod]) -> Seen:
    """KFP is in the namespace of its runs or, with several users, in its own."""
    for namespace in dict.fromkeys((api.namespace, _KFP_NAMESPACE)):
        try:
            found = api.read("config map", _ARGO, namespace)
        except FoundError as error:
            if error.finding.code != "S212":
                raise
            continue
        yield from see_repetition(found.data or {}, pods)
        return
    yield f"no {_ARGO}: what Argo repeats is not known"


def see_repetition(data: Mapping[str, str], pods: list[Pod]) -> Iterator[Finding | str]:
    """Say which steps Argo repeats.

    KFP 2.17 writes no `retryPolicy` into a step's own `retryStrategy`. Argo merges its
    configured default of all templates into it, so that one setting decides for all
    pipelines; without one, Argo's own default is OnFailure.

    Args:
        data: of its ConfigMap.
        pods: of the pipeline; without retries nothing of it is repeated.
    """
    where = f"config map {_ARGO}"
    try:
        strategy = _default_strategy(data)
    except (yaml.YAMLError, AttributeError) as error:
        what = "its workflowDefaults are no workflow in YAML"
        raise FoundError("S216", where, what) from error
    condition = str(strategy.get("expression") or "")
    default = "Always" if condition else "OnFailure"
    policy = str(strategy.get("retryPolicy") or default)
    repeated = _REPEATED.get(policy, policy)
    note = f"Argo repeats {repeated} (retryPolicy {policy} in {_ARGO})"
    yield note + (f", if {condition}" if condition else "")
    if policy == "OnFailure" and any(pod.retries for pod in pods):
        yield Finding(
            "S216", where, f"Argo repeats {repeated}: its retryPolicy is OnFailure"
        )


def _default_strategy(data: Mapping[str, str]) -> Mapping[str, Any]:
    """The default of every template: a key of its own, or one of the key `config`."""
    defaults = yaml.safe_load(data.get("workflowDefaults") or "")
    if defaults is None:
        config = yaml.safe_load(data.get("config") or "") or {}
        defaults = config.get("workflowDefaults") or {}
    templates = (defaults.get("spec") or {}).get("templateDefaults") or {}
    strategy: Mapping[str, Any] = templates.get("retryStrategy") or {}
    strategy.get("limit")  # an AttributeError where it is no mapping
    return strategy
