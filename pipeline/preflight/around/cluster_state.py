"""Whether a cluster has what a document refers to: S201 … S220."""

from collections.abc import Callable
from functools import partial
from typing import Any

import yaml
from kubernetes import client
from kubernetes.client import ApiException
from urllib3.exceptions import HTTPError

from pipeline.kfp.failures import ClusterError
from pipeline.kfp.kubernetes_api import kubernetes_at
from pipeline.preflight.around.looking import Look, Seen, look_at_all
from pipeline.preflight.around.nodes import check_nodes
from pipeline.preflight.around.questions import reason
from pipeline.preflight.around.references import Reference, references
from pipeline.preflight.around.repetition import CONFIG_MAP, see_repetition
from pipeline.preflight.findings import Finding, FoundError
from pipeline.preflight.pod import Pod

_KFP_NAMESPACE = "kubeflow"
_LONGEST = 3  # timeouts, of a request that is repeated once
_LACKS = {"secret": "S211", "config map": "S213"}
_KINDS = {  # kind: its name in the client, the code if it is not there
    "service account": ("service_account", "S204"),
    "secret": ("secret", "S210"),
    "config map": ("config_map", "S212"),
    "volume claim": ("persistent_volume_claim", "S214"),
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
        pods: of the pipeline.
        context: of kubeconfig; "": its current one.
        namespace: of the runs.
        service_account: of the pods; "": not looked at.
        timeout_s: of each request.

    Raises:
        FoundError: no cluster, or one that refuses.
    """
    cluster = _Cluster(context, namespace, timeout_s)
    return cluster.see(pods, service_account)


class _Cluster:
    """The API of a cluster."""

    def __init__(self, context: str, namespace: str, timeout_s: float):
        self._namespace, self._timeout_s = namespace, timeout_s
        try:
            reached = kubernetes_at(
                namespace, context=context, timeout_s=timeout_s
            ).client
        except (ClusterError, yaml.YAMLError, OSError) as error:
            what = f"no kubeconfig that can be used: {error}".rstrip(".")
            raise FoundError("S201", "the cluster", what) from error
        self._core = client.CoreV1Api(reached)
        # Everybody may ask for the version.
        self._call(client.VersionApi(reached).get_code, "the cluster", "S201")

    def see(self, pods: list[Pod], service_account: str) -> Seen:
        read = partial(self._core.read_namespace, self._namespace)
        try:
            self._call(read, f"namespace {self._namespace}", "S203")
        except FoundError as error:
            if error.finding.code != "S205":  # not allowed to look
                raise
        looks: list[Callable[[], Seen]] = [
            partial(self._see_reference, reference) for reference in references(pods)
        ]
        if service_account:
            looks.append(partial(self._see_account, service_account))
        looks.append(partial(self._see_nodes, pods))
        looks.append(partial(self._see_repetition, pods))
        limit_s = _LONGEST * self._timeout_s
        yield from look_at_all([Look("the cluster", see, limit_s) for see in looks])
        yield f"namespace {self._namespace}: {len(looks)} things looked at"

    def _see_reference(self, reference: Reference) -> Seen:
        where = f"{reference.kind} {reference.name}"
        found = self._read(reference.kind, reference.name)
        executors = ", ".join(reference.executors)
        if reference.kind == "volume claim":
            if found.status and found.status.phase == "Lost":
                yield Finding("S215", where, f"{executors} mount it")
            return
        there = {*(found.data or {}), *(getattr(found, "binary_data", None) or {})}
        if missing := sorted(reference.keys - there):
            what = f"it has no key {', '.join(missing)}, for {executors}"
            yield Finding(_LACKS[reference.kind], where, what)

    def _see_account(self, name: str) -> Seen:
        self._read("service account", name)
        return ()

    def _see_nodes(self, pods: list[Pod]) -> Seen:
        nodes = self._call(self._core.list_node, "nodes", "S201")
        yield from check_nodes(pods, nodes.items)

    def _see_repetition(self, pods: list[Pod]) -> Seen:
        """KFP is in the namespace of its runs or, with several users, in its own."""
        for namespace in dict.fromkeys((self._namespace, _KFP_NAMESPACE)):
            try:
                found = self._read("config map", CONFIG_MAP, namespace)
            except FoundError as error:
                if error.finding.code != "S212":
                    raise
                continue
            yield from see_repetition(found.data or {}, pods)
            return
        yield f"no {CONFIG_MAP}: what Argo repeats is not known"

    def _read(self, kind: str, name: str, namespace: str = "") -> Any:
        resource, absent = _KINDS[kind]
        read = getattr(self._core, f"read_namespaced_{resource}")
        call = partial(read, name, namespace or self._namespace)
        return self._call(call, f"{kind} {name}", absent)

    def _call(self, call: Callable[..., Any], where: str, absent: str) -> Any:
        """The answer; a refusal is a FoundError, and a 404 one of code `absent`."""
        try:
            return call()
        except ApiException as error:
            status = error.status or 0
        except (HTTPError, OSError) as error:
            what = f"its API does not answer: {reason(error)}"
            raise FoundError("S201", "the cluster", what) from error
        if status == 404 and absent != "S201":
            place = "" if absent == "S203" else f" in {self._namespace}"
            raise FoundError(absent, where, f"there is none{place}")
        if status == 403 and where != "the cluster":
            raise FoundError("S205", where, "the account in use may not read it")
        code = "S202" if status in (401, 403) else "S201"
        raise FoundError(code, where, f"its API answers {status}")
