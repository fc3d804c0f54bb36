"""A Kubernetes API, a registry and other servers on loopback, for tests.

What the Kubernetes API answers is made from the models of the package `kubernetes`,
which are generated from its published schema.
"""

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kubernetes import client

from tests.fakes.loopback import Loopback, Reply, Request, kubeconfig

NAMESPACE = "kubeflow"
_PATHS = {
    "V1Secret": "secrets",
    "V1ConfigMap": "configmaps",
    "V1ServiceAccount": "serviceaccounts",
    "V1PersistentVolumeClaim": "persistentvolumeclaims",
}


class CoreApi(Loopback):
    """The objects of a cluster, and those that may not be looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.forbidden: set[str] = set()  # beginnings of paths
        version = dict.fromkeys(client.VersionInfo.openapi_types, "0")
        self._objects: dict[str, Any] = {"/version/": client.VersionInfo(**version)}
        self.nodes: list[client.V1Node] = []
        self.add_namespace(NAMESPACE)

    def add_namespace(self, name: str) -> None:
        namespace = client.V1Namespace(metadata=client.V1ObjectMeta(name=name))
        self._objects[f"/api/v1/namespaces/{name}"] = namespace

    def add(self, kind: str, name: str, **fields: Any) -> None:
        """Add an object of the namespace, such as `add("V1Secret", "s3", data=…)`."""
        metadata = client.V1ObjectMeta(name=name, namespace=NAMESPACE)
        path = f"/api/v1/namespaces/{NAMESPACE}/{_PATHS[kind]}/{name}"
        self._objects[path] = getattr(client, kind)(metadata=metadata, **fields)

    def add_secret(self, name: str, *keys: str) -> None:
        value = base64.b64encode(b"correct horse").decode()
        self.add("V1Secret", name, data=dict.fromkeys(keys, value))

    def add_node(
        self,
        name: str,
        *,
        labels: Mapping[str, str] | None = None,
        taints: tuple[client.V1Taint, ...] = (),
        **amounts: str,
    ) -> None:
        """Add a node; of its resources by name, such as `cpu="2"`, `gpu="4"`."""
        ready = client.V1NodeCondition(type="Ready", status="True")
        room = {"cpu": "16", "memory": "64Gi", "pods": "110"}
        room |= {"nvidia.com/gpu" if k == "gpu" else k: v for k, v in amounts.items()}
        self.nodes.append(
            client.V1Node(
                metadata=client.V1ObjectMeta(name=name, labels=dict(labels or {})),
                spec=client.V1NodeSpec(taints=list(taints)),
                status=client.V1NodeStatus(allocatable=room, conditions=[ready]),
            )
        )

    def remove(self, end: str) -> None:
        """Remove the object whose path ends so."""
        (path,) = (path for path in self._objects if path.endswith(end))
        del self._objects[path]

    def reply(self, request: Request) -> Reply:
        self.asked.append(request.path)
        if request.headers.get("authorization") != "Bearer right":
            return _status(401, "Unauthorized")
        if any(map(request.path.startswith, self.forbidden)):
            return _status(403, "Forbidden")
        found = self._objects.get(request.path)
        if request.path == "/api/v1/nodes":
            found = client.V1NodeList(items=self.nodes)
        return Reply(200, _json(found)) if found else _status(404, "NotFound")

    @contextmanager
    def run(self, path: Path, *, token: str = "right") -> Iterator[None]:
        """Serve, with a kubeconfig that leads to it."""
        path.write_text(kubeconfig(self.url, token=token))
        with self:
            yield


class Registry(Loopback):
    """Manifests by digest, for whoever has a token (Bearer) or a login (Basic).

    Attributes:
        login: base64 of user:password that it costs; "": nothing.
    """

    def __init__(self, *digests: str, login: str = "", scheme: str = "Bearer"):
        super().__init__()
        self.digests, self.login, self._scheme = digests, login, scheme
        self.name = self.url.removeprefix("http://")

    def reply(self, request: Request) -> Reply:
        given = request.headers.get("authorization", "")
        scope = "repository:team/seglib:pull"
        if request.path == "/token":
            if self.login and given != f"Basic {self.login}":
                return Reply(401, {"errors": [{"code": "UNAUTHORIZED"}]})
            assert request.query["scope"] == scope
            return Reply(200, {"token": "pull"})
        if (
            given
            != {"Bearer": "Bearer pull", "Basic": f"Basic {self.login}"}[self._scheme]
        ):
            realm = f'realm="{self.url}/token",service="r",scope="{scope}"'
            return Reply(401, headers={"WWW-Authenticate": f"{self._scheme} {realm}"})
        assert "application/vnd.oci.image.index.v1+json" in request.headers["accept"]
        digest = request.path.removeprefix("/v2/team/seglib/manifests/")
        if digest not in self.digests:
            return Reply(404, {"errors": [{"code": "MANIFEST_UNKNOWN"}]})
        return Reply(200, headers={"Docker-Content-Digest": digest})


def _status(code: int, reason: str) -> Reply:
    return Reply(code, _json(client.V1Status(code=code, reason=reason)))


def _json(model: Any) -> Any:
    return client.ApiClient().sanitize_for_serialization(model)
