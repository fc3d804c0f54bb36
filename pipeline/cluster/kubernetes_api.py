"""The Kubernetes API below KFP, as far as this machine may ask it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipeline.cluster.connection import Cluster
from pipeline.cluster.failures import shortened
from seglib.errors import SegError

_PAGE = 500
# Names, labels and annotations alone: a workflow is up to a megabyte.
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class KubernetesError(SegError):
    """The Kubernetes API is not there, or refuses."""


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A kind of object, such as workflows.argoproj.io."""

    group: str
    version: str
    plural: str

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}"


WORKFLOWS = Resource(group="argoproj.io", version="v1alpha1", plural="workflows")
SCHEDULES = Resource(
    group="kubeflow.org", version="v1beta1", plural="scheduledworkflows"
)


@dataclass(frozen=True, kw_only=True)
class Kubernetes:
    """The API of one cluster, in KFP's namespace."""

    client: Any
    namespace: str
    timeout_s: float

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

    def delete(self, resource: Resource, name: str, *, uid: str) -> None:
        """Delete an object; one of the same name that was made later stays."""
        body = {"preconditions": {"uid": uid}}
        self._call("DELETE", resource, name, body=body)

    def _call(
        self,
        method: str,
        resource: Resource,
        name: str = "",
        *,
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
        body: Any = None,
    ) -> Any:
        place = f"/apis/{resource.group}/{resource.version}/namespaces"
        path = f"{place}/{self.namespace}/{resource.plural}"
        with _explained(f"{method.lower()} {resource} in {self.namespace}"):
            return self.client.call_api(
                f"{path}/{name}" if name else path,
                method,
                query_params=list((query or {}).items()),
                header_params={"Accept": accept, "Content-Type": "application/json"},
                body=body,
                response_type="object",
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _request_timeout=self.timeout_s,
            )


def kubernetes_of(cluster: Cluster) -> Kubernetes:
    """The Kubernetes API: of the pod that this runs in, else by kubeconfig.

    Raises:
        KubernetesError: neither is there.
    """
    from kubernetes import client, config

    configuration = client.Configuration()
    with _explained("find the Kubernetes API"):
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException:
            context = cluster.endpoint.context or None
            config.load_kube_config(client_configuration=configuration, context=context)
    configuration.retries = 1
    return Kubernetes(
        client=client.ApiClient(configuration),
        namespace=cluster.namespace,
        timeout_s=cluster.endpoint.timeout_s,
    )


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
        raise KubernetesError(
            f"Kubernetes: cannot {doing}: {error.status} {error.reason}{note}"
        ) from error
    except urllib3.exceptions.HTTPError as error:
        raise KubernetesError(f"Kubernetes: {shortened(str(error))}") from error
