"""A Kubernetes API, a registry and other servers on loopback, for tests.

What the Kubernetes API answers is made from the models of the package `kubernetes`,
which are generated from its published schema.
"""

import base64
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from kubernetes import client

NAMESPACE = "kubeflow"


class Reply(NamedTuple):
    """What a server answers."""

    status: int
    body: Any = ""
    headers: Mapping[str, str] = {}


class Request(NamedTuple):
    """What it was asked; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]


@contextmanager
def serve(answer: Callable[[Request], Reply]) -> Iterator[str]:
    """Run a server on a port of its own; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = answer(Request(self.command, self.path, headers))
            is_text = isinstance(reply.body, str)
            body = (reply.body if is_text else json.dumps(reply.body)).encode()
            self.send_response(reply.status)
            kind = "text/plain" if is_text else "application/json"
            for name, value in ({"Content-Type": kind} | dict(reply.headers)).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = handle_any  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class CoreApi:
    """The objects of a cluster, and those that may not be looked at."""

    def __init__(self) -> None:
        self.token = "right"
        self.asked: list[str] = []
        self.forbidden: set[str] = set()  # beginnings of paths
        self._objects: dict[str, Any] = {
            "/version/": client.VersionInfo(
                major="1",
                minor="34",
                git_version="v1.34.1",
                git_commit="0",
                git_tree_state="clean",
                build_date="2026-01-01T00:00:00Z",
                go_version="go1.25",
                compiler="gc",
                platform="linux/amd64",
            )
        }
        self.nodes: list[client.V1Node] = []
        self.add_namespace(NAMESPACE)

    def add_namespace(self, name: str) -> None:
        namespace = client.V1Namespace(metadata=client.V1ObjectMeta(name=name))
        self._objects[f"/api/v1/namespaces/{name}"] = namespace

    def add(self, kind: str, name: str, **fields: Any) -> None:
        """Add an object of the namespace, such as `add("V1Secret", "s3", data=…)`."""
        path = {
            "V1Secret": "secrets",
            "V1ConfigMap": "configmaps",
            "V1ServiceAccount": "serviceaccounts",
            "V1PersistentVolumeClaim": "persistentvolumeclaims",
        }[kind]
        metadata = client.V1ObjectMeta(name=name, namespace=NAMESPACE)
        self._objects[f"/api/v1/namespaces/{NAMESPACE}/{path}/{name}"] = getattr(
            client, kind
        )(metadata=metadata, **fields)

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

    def answer(self, request: Request) -> Reply:
        self.asked.append(request.path)
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return _status(401, "Unauthorized")
        if any(map(request.path.startswith, self.forbidden)):
            return _status(403, "Forbidden")
        found = self._objects.get(request.path)
        if request.path == "/api/v1/nodes":
            found = client.V1NodeList(items=self.nodes)
        if found is None:
            return _status(404, "NotFound")
        return Reply(200, _json(found))

    @contextmanager
    def run(self, kubeconfig: Path, *, token: str = "right") -> Iterator[None]:
        """Serve, with a kubeconfig that leads to it."""
        with serve(self.answer) as address:
            write_kubeconfig(kubeconfig, address, token=token)
            yield


def write_kubeconfig(path: Path, server: str, *, token: str = "right") -> None:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(document))


class Registry:
    """Manifests by digest, for whoever fetches a token first."""

    def __init__(self, *digests: str):
        self.digests = digests
        self.login = ""  # base64 of user:password that the token costs; "": nothing
        self.address = ""

    def answer(self, request: Request) -> Reply:
        if request.path.startswith("/token?"):
            given = request.headers.get("authorization", "")
            if self.login and given != f"Basic {self.login}":
                return Reply(401, {"errors": [{"code": "UNAUTHORIZED"}]})
            assert "scope=repository%3Ateam%2Fseglib%3Apull" in request.path
            return Reply(200, {"token": "pull"})
        if request.headers.get("authorization") != "Bearer pull":
            scope = "repository:team/seglib:pull"
            challenge = f'realm="{self.address}/token",service="r",scope="{scope}"'
            return Reply(401, headers={"WWW-Authenticate": f"Bearer {challenge}"})
        assert "application/vnd.oci.image.index.v1+json" in request.headers["accept"]
        digest = request.path.removeprefix("/v2/team/seglib/manifests/")
        if digest not in self.digests:
            return Reply(404, {"errors": [{"code": "MANIFEST_UNKNOWN"}]})
        return Reply(200, headers={"Docker-Content-Digest": digest})

    @contextmanager
    def run(self) -> Iterator[str]:
        """Serve; gives the registry's name, host:port."""
        with serve(self.answer) as self.address:
            yield self.address.removeprefix("http://")


def _status(code: int, reason: str) -> Reply:
    return Reply(code, _json(client.V1Status(code=code, reason=reason)))


def _json(model: Any) -> Any:
    return client.ApiClient().sanitize_for_serialization(model)
