"""A server on loopback, for tests: a subclass says what is answered.

with Api() as api:
    api.url
"""

import abc
import contextlib
import json
import socket
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest
import yaml


class Request(NamedTuple):
    """A request as it came."""

    method: str
    path: str  # without the query
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        """The body's content; None where there is no body."""
        return json.loads(self.body) if self.body else None


class Reply(NamedTuple):
    """What is answered. The status 0 closes the connection without an answer."""

    status: int
    body: Any = ""  # text, or what becomes JSON; None: no bytes
    headers: Mapping[str, str] = {}


class Loopback(abc.ABC):
    """A server; it answers from `with` on."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=lambda: self._server.serve_forever(poll_interval=0.02), daemon=True
        )

    @abc.abstractmethod
    def reply(self, request: Request) -> Reply:
        """Answer a request."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Answering(Loopback):
    """A server that answers by a function."""

    def __init__(self, reply: Callable[[Request], Reply]):
        super().__init__()
        self._reply = reply

    def reply(self, request: Request) -> Reply:
        return self._reply(request)


def kubeconfig(server: str, *, token: str) -> str:
    """The text of a kubeconfig with one context, `here`."""
    named = {"name": "here"}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{**named, "cluster": {"server": server}}],
        "users": [{**named, "user": {"token": token}}],
        "contexts": [{**named, "context": {"cluster": "here", "user": "here"}}],
        "current-context": "here",
    }
    return yaml.safe_dump(content)


def use_kubeconfig(
    patch: pytest.MonkeyPatch, folder: Path, server: str, *, token: str
) -> None:
    """Have the kubernetes client and kubectl find a server by a kubeconfig."""
    file = folder / "kubeconfig"
    file.write_text(kubeconfig(server, token=token))
    patch.setenv("KUBECONFIG", str(file))
    # The client reads the variable when it is imported.
    default = "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"
    patch.setattr(default, str(file))


def _handler(server: Loopback) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # or each answer takes 40 ms

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            url = urllib.parse.urlsplit(self.path)
            reply = server.reply(
                Request(
                    method=self.command,
                    path=url.path,
                    query=dict(urllib.parse.parse_qsl(url.query)),
                    headers={k.lower(): v for k, v in self.headers.items()},
                    body=self.rfile.read(length),
                )
            )
            if not reply.status:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            is_text = isinstance(reply.body, str)
            kind = "text/plain" if is_text else "application/json"
            text = reply.body if is_text else json.dumps(reply.body)
            content = b"" if reply.body is None else text.encode()
            self.send_response(reply.status)
            for name, value in {"Content-Type": kind, **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                with contextlib.suppress(OSError):  # the client is gone
                    self.wfile.write(content)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
