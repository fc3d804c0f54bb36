"""What a cluster has of what a document refers to: S201 … S220."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import yaml

from pipeline.preflight.around.looking import Look, Seen, look_at_all
from pipeline.preflight.around.nodes import check_nodes
from pipeline.preflight.around.references import Reference, node_needs, references
from pipeline.preflight.around.repetition import CONFIG_MAP, see_repetition
from pipeline.preflight.document import Document
from pipeline.preflight.findings import Finding

_KFP_NAMESPACE = "kubeflow"
_LONGEST = 2  # timeouts, of a question that ends by itself
_LACKS = {"secret": "S211", "config map": "S213"}
_ABSENT = {
    "namespace": "S203",
    "service account": "S204",
    "secret": "S210",
    "config map": "S212",
    "volume claim": "S214",
}


class ClusterState:
    """The API of a cluster, asked as little as possible."""

    def __init__(self, *, context: str, namespace: str, timeout_s: float):
        self._context, self._namespace = context, namespace
        self._timeout_s = timeout_s
        self._core: Any = None

    def see(self, document: Document, service_account: str) -> Seen:
        """Look at everything that pods need; without a cluster that is one finding."""
        wrong = self._connect() or self._read("namespace", self._namespace)
        if wrong and wrong.code != "S205":
            return Seen((wrong,))
        looks: list[Callable[[], Seen]] = [
            partial(self._see_reference, reference)
            for reference in references(document)
        ]
        if service_account:
            looks.append(partial(self._see, "service account", service_account))
        looks.append(partial(self._see_nodes, document))
        looks.append(partial(self._see_repetition, document))
        seen = look_at_all(
            [Look("the cluster", look, _LONGEST * self._timeout_s) for look in looks]
        )
        where = f"namespace {self._namespace}"
        return Seen(
            tuple(finding for one in seen for finding in one.findings),
            (
                f"{where}: {len(looks)} things looked at",
                *(note for one in seen for note in one.notes),
            ),
        )

    def _connect(self) -> Finding | None:
        """Find the API; the version is what everybody may ask for."""
        import kubernetes

        settings = kubernetes.client.Configuration()
        settings.retries = False
        try:
            try:
                if self._context:
                    raise kubernetes.config.ConfigException
                kubernetes.config.load_incluster_config(settings)
            except kubernetes.config.ConfigException:
                kubernetes.config.load_kube_config(
                    config_file=os.environ.get("KUBECONFIG") or None,
                    context=self._context or None,
                    client_configuration=settings,
                )
        except (kubernetes.config.ConfigException, yaml.YAMLError, OSError) as error:
            what = f"no kubeconfig that can be used: {error}".rstrip(".")
            return Finding(code="S201", where="the cluster", what=what)
        client = kubernetes.client.ApiClient(settings)
        self._core = kubernetes.client.CoreV1Api(client)
        version = kubernetes.client.VersionApi(client).get_code
        return self._problem(version, "the cluster", settings.host)[1]

    def _see_reference(self, reference: Reference) -> Seen:
        found, wrong = self._get(reference.kind, reference.name)
        if wrong:
            return Seen((wrong,))
        where = f"{reference.kind} {reference.name}"
        if reference.kind == "volume claim":
            if found.status and found.status.phase == "Lost":
                what = f"{', '.join(reference.steps)} mount it"
                return Seen((Finding(code="S215", where=where, what=what),))
            return Seen()
        there = {*(found.data or {}), *(getattr(found, "binary_data", None) or {})}
        missing = sorted(reference.keys - there)
        if not missing:
            return Seen()
        what = f"it has no key {', '.join(missing)}, for {', '.join(reference.steps)}"
        code = _LACKS[reference.kind]
        return Seen((Finding(code=code, where=where, what=what),))

    def _see(self, kind: str, name: str) -> Seen:
        wrong = self._read(kind, name)
        return Seen((wrong,) if wrong else ())

    def _see_nodes(self, document: Document) -> Seen:
        nodes, wrong = self._problem(self._core.list_node, "nodes", "")
        if wrong:
            return Seen((wrong,))
        found = (check_nodes(need, nodes.items) for need in node_needs(document))
        return Seen(tuple(finding for finding in found if finding))

    def _see_repetition(self, document: Document) -> Seen:
        """Where KFP is: in the namespace of its runs, or, with many users, its own."""
        for namespace in dict.fromkeys((self._namespace, _KFP_NAMESPACE)):
            read = self._in_namespace("config_map", CONFIG_MAP, namespace)
            found, wrong = self._problem(read, f"config map {CONFIG_MAP}", "config map")
            if found:
                return see_repetition(found.data or {}, document)
            if wrong and wrong.code != "S212":
                return Seen((wrong,))
        return Seen((), (f"no {CONFIG_MAP}: what Argo repeats is not known",))

    def _read(self, kind: str, name: str) -> Finding | None:
        return self._get(kind, name)[1]

    def _get(self, kind: str, name: str) -> tuple[Any, Finding | None]:
        read = {
            "namespace": lambda **o: self._core.read_namespace(name, **o),
            "service account": self._in_namespace("service_account", name),
            "secret": self._in_namespace("secret", name),
            "config map": self._in_namespace("config_map", name),
            "volume claim": self._in_namespace("persistent_volume_claim", name),
        }[kind]
        return self._problem(read, f"{kind} {name}", kind)

    def _in_namespace(
        self, resource: str, name: str, namespace: str = ""
    ) -> Callable[..., Any]:
        def read(**options: Any) -> Any:
            call = getattr(self._core, f"read_namespaced_{resource}")
            return call(name, namespace or self._namespace, **options)

        return read

    def _problem(
        self, call: Callable[..., Any], where: str, kind: str
    ) -> tuple[Any, Finding | None]:
        """What a call gives, or the finding that it makes."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        try:
            # A single number counts only if it is an int; without, it waits for ever.
            patience = (self._timeout_s, self._timeout_s)
            return call(_request_timeout=patience), None
        except ApiException as error:
            status = int(error.status or 0)
        except (HTTPError, OSError) as error:
            what = f"{kind or 'its API'} does not answer ({_reason(error)})"
            return None, Finding(code="S201", where="the cluster", what=what)
        if status == 404 and kind in _ABSENT:
            what = f"there is none in {self._namespace}"
            if kind == "namespace":
                what = "there is none"
            return None, Finding(code=_ABSENT[kind], where=where, what=what)
        if status == 403 and where != "the cluster":
            what = "the account in use may not read it"
            return None, Finding(code="S205", where=where, what=what)
        code = "S202" if status in (401, 403) else "S201"
        return None, Finding(code=code, where=where, what=f"its API answers {status}")


def _reason(error: Exception) -> str:
    """Why, without the address of an object in memory."""
    name = type(error).__name__
    if "Timeout" in name:
        return "not in time"
    inner = getattr(error, "reason", None) or error
    return str(inner).rpartition(": ")[2].strip(" '\"()") or name
