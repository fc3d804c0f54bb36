"""The Kubernetes API of a cluster, in one namespace."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from urllib3.exceptions import HTTPError

from pipeline.http import Connection, Patience
from pipeline.kfp.failures import ClusterError, kind_of, shortened

if TYPE_CHECKING:
    from pipeline.kfp.connection import KfpServer

_PAGE = 500
# Names, labels and annotations alone: a workflow is up to a megabyte.
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_JSON = "application/json"
_APPLY = "application/apply-patch+yaml"
_TIMEOUT_S = 30.0

Object = Mapping[str, Any]  # of Kubernetes, or its metadata


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
    """The API of one cluster, in one namespace; all of it raises ClusterErrors."""

    client: Any
    namespace: str

    @property
    def address(self) -> str:
        return str(self.client.configuration.host).rstrip("/")

    def newest(self, resource: Resource) -> list[Object]:
        """The metadata of all objects of a kind, the newest first."""
        found: list[Object] = []
        query = {"limit": str(_PAGE)}
        while True:
            page = self._call("GET", resource, query=query, accept=_METADATA)
            found += [item["metadata"] for item in page["items"]]
            query["continue"] = page.get("metadata", {}).get("continue", "")
            if not query["continue"]:
                break
        return sorted(found, key=lambda one: one["creationTimestamp"], reverse=True)

    def get(self, resource: Resource, name: str) -> Object:
        found: Object = self._call("GET", resource, name)
        return found

    def labelled(self, resource: Resource, labels: str) -> list[Object]:
        """All objects of a kind that have these labels, `name=value`."""
        query = {"labelSelector": labels}
        found: list[Object] = self._call("GET", resource, query=query)["items"]
        return found

    def apply(
        self, resource: Resource, document: Object, *, dry_run: bool = False
    ) -> Object:
        """Make an object, or make it so, on the server's side; returns it."""
        query = {"fieldManager": "seglib", "force": "true"}
        query |= {"dryRun": "All"} if dry_run else {}
        name = document["metadata"]["name"]
        made: Object = self._call(
            "PATCH", resource, name, query=query, content=_APPLY, body=document
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


def kubernetes_of(server: "KfpServer") -> Kubernetes:
    """That below a KFP."""
    endpoint = server.endpoint
    return kubernetes_at(
        server.namespace, context=endpoint.context, timeout_s=endpoint.timeout_s
    )


def kubernetes_at(
    namespace: str, *, context: str = "", timeout_s: float = _TIMEOUT_S
) -> Kubernetes:
    """The Kubernetes API: of the pod that this runs in, else by kubeconfig.

    Args:
        context: of kubeconfig; "": its current one.
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
    from kubernetes import client, config

    try:
        yield
    except config.ConfigException as error:
        said = shortened(str(error))
        raise ClusterError(f"Kubernetes: {said}", kind="no-kubeconfig") from error
    except client.ApiException as error:
        role = " (the Role seglib-submitter of deploy/ allows it)"
        note = role if error.status == 403 else ""
        said = _message(error.body)
        raise ClusterError(
            f"Kubernetes: cannot {doing}: {error.status} {error.reason}{note}{said}",
            kind=kind_of(error.status) if error.status else "unreachable",
        ) from error
    except HTTPError as error:
        said = shortened(str(error))
        raise ClusterError(f"Kubernetes: {said}", kind="unreachable") from error


def _message(body: Any) -> str:
    """What the server says itself, such as an admission webhook's refusal."""
    try:
        said = str(json.loads(body)["message"])
    except (ValueError, TypeError, KeyError):
        return ""
    return f". {shortened(said)}"
