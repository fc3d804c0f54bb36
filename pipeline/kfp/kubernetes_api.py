"""The Kubernetes API of a cluster, in one namespace."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipeline.http import Connection, Patience
from pipeline.kfp.connection import Cluster
from pipeline.kfp.failures import shortened
from seglib.errors import SegError

_PAGE = 500
# Names, labels and annotations alone: a workflow is up to a megabyte.
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_JSON = "application/json"
_APPLY = "application/apply-patch+yaml"
_TIMEOUT_S = 30.0


class KubernetesError(SegError):
    """The Kubernetes API is not there, or refuses.

    Attributes:
        status: of HTTP; 0 where there was no answer.
    """

    exit_code = 6

    def __init__(self, message: str, *, status: int = 0):
        super().__init__(message)
        self.status = status

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in (0, 429) or self.status >= 500


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A kind of object, such as workflows.argoproj.io."""

    group: str = ""
    version: str
    plural: str

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}".rstrip(".")

    @property
    def path(self) -> str:
        group = f"/apis/{self.group}" if self.group else "/api"
        return f"{group}/{self.version}"


WORKFLOWS = Resource(group="argoproj.io", version="v1alpha1", plural="workflows")
SCHEDULES = Resource(
    group="kubeflow.org", version="v1beta1", plural="scheduledworkflows"
)
PODS = Resource(version="v1", plural="pods")


@dataclass(frozen=True, kw_only=True)
class Kubernetes:
    """The API of one cluster, in one namespace."""

    client: Any
    namespace: str

    @property
    def address(self) -> str:
        return str(self.client.configuration.host).rstrip("/")

    def newest(self, resource: Resource) -> list[Mapping[str, Any]]:
        """The metadata of all objects of a kind, the newest first."""
        found: list[Mapping[str, Any]] = []
        query = {"limit": str(_PAGE)}
        while True:
            page = self._call("GET", resource, query=query, accept=_METADATA)
            found += [item["metadata"] for item in page["items"]]
            query["continue"] = page.get("metadata", {}).get("continue", "")
            if not query["continue"]:
                break
        return sorted(found, key=lambda one: one["creationTimestamp"], reverse=True)

    def get(self, resource: Resource, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._call("GET", resource, name)
        return found

    def labelled(self, resource: Resource, labels: str) -> list[Mapping[str, Any]]:
        """All objects of a kind that have these labels, `name=value`."""
        query = {"labelSelector": labels}
        found: list[Mapping[str, Any]]
        found = self._call("GET", resource, query=query)["items"]
        return found

    def apply(
        self, resource: Resource, document: Mapping[str, Any], *, dry_run: bool = False
    ) -> Mapping[str, Any]:
        """Make an object, or make it so, on the server's side; returns it."""
        query = {"fieldManager": "seglib", "force": "true"}
        made: Mapping[str, Any] = self._call(
            "PATCH",
            resource,
            document["metadata"]["name"],
            query={**query, "dryRun": "All"} if dry_run else query,
            content=_APPLY,
            body=document,
        )
        return made

    def delete(self, resource: Resource, name: str, *, uid: str) -> None:
        """Delete an object; one of the same name that was made later stays."""
        body = {"preconditions": {"uid": uid}}
        self._call("DELETE", resource, name, body=body)

    def log(
        self, pod: str, container: str, *, since: str = "", times: bool = False
    ) -> str:
        """What a container printed; with `times`, each line after its time."""
        query = {"container": container, "timestamps": str(times).lower()}
        query |= {"sinceTime": since} if since else {}
        answer = self._call("GET", PODS, f"{pod}/log", query=query, accept="*/*")
        return str(answer.data.decode(errors="replace"))

    def _call(
        self,
        method: str,
        resource: Resource,
        name: str = "",
        *,
        query: Mapping[str, str] | None = None,
        accept: str = _JSON,
        content: str = _JSON,
        body: Any = None,
    ) -> Any:
        path = f"{resource.path}/namespaces/{self.namespace}/{resource.plural}"
        with _explained(f"{method.lower()} {resource} in {self.namespace}"):
            return self.client.call_api(
                f"{path}/{name}" if name else path,
                method,
                query_params=list((query or {}).items()),
                header_params={"Accept": accept, "Content-Type": content},
                body=body,
                response_type="object",
                _preload_content=accept.startswith(_JSON),  # else the answer itself
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
            )


def kubernetes_of(cluster: Cluster) -> Kubernetes:
    """That below a KFP.

    Raises:
        KubernetesError: there is none.
    """
    endpoint = cluster.endpoint
    return kubernetes_at(
        cluster.namespace, context=endpoint.context, timeout_s=endpoint.timeout_s
    )


def kubernetes_at(
    namespace: str, *, context: str = "", timeout_s: float = _TIMEOUT_S
) -> Kubernetes:
    """The Kubernetes API: of the pod that this runs in, else by kubeconfig.

    Args:
        context: of kubeconfig; "": its current one.

    Raises:
        KubernetesError: neither is there.
    """
    from kubernetes import client, config

    configuration = client.Configuration()
    with _explained("find the Kubernetes API"):
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException:
            config.load_kube_config(
                client_configuration=configuration, context=context or None
            )
    api = client.ApiClient(configuration)
    api.rest_client.pool_manager = Connection(
        timeout_s=timeout_s,
        patience=Patience(tries=1),
        pool=api.rest_client.pool_manager,
    )
    return Kubernetes(client=api, namespace=namespace)


@contextmanager
def _explained(doing: str) -> Iterator[None]:
    import urllib3
    from kubernetes import client, config

    try:
        yield
    except config.ConfigException as error:
        raise KubernetesError(f"Kubernetes: {shortened(str(error))}") from error
    except client.ApiException as error:
        role = " (the Role seglib-submitter of deploy/ allows it)"
        note = role if error.status == 403 else ""
        said = _message(error.body)
        raise KubernetesError(
            f"Kubernetes: cannot {doing}: {error.status} {error.reason}{note}{said}",
            status=error.status or 0,
        ) from error
    except urllib3.exceptions.HTTPError as error:
        raise KubernetesError(f"Kubernetes: {shortened(str(error))}") from error


def _message(body: Any) -> str:
    """What the server says itself, such as an admission webhook's refusal."""
    try:
        said = str(json.loads(body)["message"])
    except (ValueError, TypeError, KeyError):
        return ""
    return f". {shortened(said)}"
