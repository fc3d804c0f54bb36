"""A forge on loopback: GitHub's calls for statuses and comments, over real HTTP.

It keeps what it is told, checks who asks and what they may, sends lists in pages, and
fails, loses answers or limits requests where a test says so.
"""

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "ghs_canaryTokenThatMustNotBeWrittenAnywhere42"
REPOSITORY = "roads/streets"
LOGIN = "github-actions[bot]"
_ROOT = f"/repos/{REPOSITORY}"
_CALLS = (
    ("GET", rf"{_ROOT}/commits/(?P<sha>\w+)/statuses", "list_statuses", "read"),
    ("POST", rf"{_ROOT}/statuses/(?P<sha>\w+)", "create_status", "statuses"),
    ("GET", rf"{_ROOT}/commits/(?P<sha>\w+)/comments", "list_comments", "read"),
    ("POST", rf"{_ROOT}/commits/(?P<sha>\w+)/comments", "create_comment", "read"),
    ("PATCH", rf"{_ROOT}/comments/(?P<id>\d+)", "edit_comment", "contents"),
    ("DELETE", rf"{_ROOT}/comments/(?P<id>\d+)", "delete_comment", "contents"),
    ("GET", rf"{_ROOT}/issues/(?P<number>\d+)/comments", "list_comments", "read"),
    ("POST", rf"{_ROOT}/issues/(?P<number>\d+)/comments", "create_comment", "pulls"),
    ("PATCH", rf"{_ROOT}/issues/comments/(?P<id>\d+)", "edit_comment", "pulls"),
    ("DELETE", rf"{_ROOT}/issues/comments/(?P<id>\d+)", "delete_comment", "pulls"),
    ("GET", "/user", "user", "read"),
)


@dataclass
class Fault:
    """What befalls the next request of a kind, once."""

    method: str
    path: str  # a part of it
    status: int = 0  # answered instead; 0: the connection is closed
    after: bool = False  # the work is done first
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "fault"


@dataclass
class ForgeServer:
    """The state of the forge, open to tests."""

    uri: str = ""
    login: str = ""  # of the token's owner; empty: an app's token, as in CI
    permissions: set[str] = field(default_factory=lambda: {"statuses", "pulls"})
    comments: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    statuses: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)  # "METHOD path"
    faults: list[Fault] = field(default_factory=list)
    meanwhile: Callable[[str, str], None] | None = None  # called before the work
    page_size: int = 100  # at most
    lock: threading.RLock = field(default_factory=threading.RLock)
    _last_id: int = 1000

    def bodies(self, place: str) -> list[str]:
        """The texts of the comments on `issues/7` or `commits/SHA`."""
        return [one["body"] for one in self.comments.get(place, [])]

    def add_comment(
        self, place: str, body: str, *, login: str = LOGIN, kind: str = "Bot"
    ) -> dict[str, Any]:
        with self.lock:
            self._last_id += 1
            user = {"login": login, "type": kind}
            comment = {"id": self._last_id, "body": body, "user": user}
            self.comments.setdefault(place, []).append(comment)
            return comment

    def list_statuses(self, sha: str, **_: str) -> list[dict[str, Any]]:
        return self.statuses.get(sha, [])[::-1]

    def create_status(self, body: Any, sha: str) -> dict[str, Any]:
        assert body["state"] in ("error", "failure", "pending", "success"), body
        assert len(body["description"]) <= 140, body
        status = {"target_url": None, **body}
        self.statuses.setdefault(sha, []).append(status)
        return status

    def list_comments(self, sha: str = "", number: str = "") -> list[dict[str, Any]]:
        return self.comments.get(_place(sha, number), [])

    def create_comment(self, body: Any, sha: str = "", number: str = "") -> Any:
        kind = "User" if self.login else "Bot"
        login = self.login or LOGIN
        return self.add_comment(
            _place(sha, number), body["body"], login=login, kind=kind
        )

    def edit_comment(self, body: Any, id: str) -> Any:  # noqa: A002 (GitHub's name)
        _, comment = self._find(id)
        comment["body"] = body["body"]
        return comment

    def delete_comment(self, id: str) -> None:  # noqa: A002
        place, comment = self._find(id)
        self.comments[place].remove(comment)

    def user(self) -> dict[str, str]:
        if not self.login:
            raise PermissionError("Resource not accessible by integration")
        return {"login": self.login, "type": "User"}

    def _find(self, id: str) -> tuple[str, dict[str, Any]]:  # noqa: A002
        for place, comments in self.comments.items():
            for comment in comments:
                if comment["id"] == int(id):
                    return place, comment
        raise LookupError("Not Found")

    def take_fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.method == method and fault.path in path:
                    self.faults.remove(fault)
                    return fault
        return None

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        for verb, pattern, name, permission in _CALLS:
            match = re.fullmatch(pattern, path)
            if verb != method or not match:
                continue
            if permission not in {"read", *self.permissions}:
                return 403, {"message": "Resource not accessible by integration"}
            arguments: dict[str, Any] = match.groupdict()
            if method in ("POST", "PATCH"):
                arguments["body"] = body
            try:
                with self.lock:
                    found = getattr(self, name)(**arguments)
            except LookupError as error:
                return 404, {"message": str(error.args[0])}
            except PermissionError as error:
                return 403, {"message": str(error.args[0])}
            return {"POST": 201, "DELETE": 204}.get(method, 200), found
        return 404, {"message": "Not Found"}


@contextmanager
def serve_forge() -> Iterator[ForgeServer]:
    """A forge with nothing in it."""
    forge = ForgeServer()
    handler = type("Handler", (_Handler,), {"forge": forge})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.block_on_close = False
    forge.uri = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield forge
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _place(sha: str, number: str) -> str:
    return f"commits/{sha}" if sha else f"issues/{number}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    forge: ForgeServer

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        text = self.rfile.read(length)
        address = urlsplit(self.path)
        self.forge.requests.append(f"{self.command} {address.path}")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            said = self.headers.get("Authorization", "")
            self._send(401, {"message": f"Bad credentials {said}"})
            return
        fault = self.forge.take_fault(self.command, address.path)
        if fault and not fault.after:
            self._fail(fault)
            return
        if self.forge.meanwhile:
            self.forge.meanwhile(self.command, address.path)
        status, content = self.forge.answer(
            self.command, address.path, json.loads(text) if text else None
        )
        if fault:
            self._fail(fault)
        elif isinstance(content, list):
            self._send_page(content, address)
        else:
            self._send(status, content)

    do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815

    def _fail(self, fault: Fault) -> None:
        if fault.status:
            said = self.headers.get("Authorization")  # as careless servers do
            self._send(
                fault.status, {"message": f"{fault.message} {said}"}, fault.headers
            )
            return
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _send_page(self, items: list[Any], address: Any) -> None:
        query = parse_qs(address.query)
        size = min(int(query.get("per_page", ["30"])[0]), self.forge.page_size)
        page = int(query.get("page", ["1"])[0])
        headers = {}
        if page * size < len(items):
            url = f"{self.forge.uri}{address.path}?per_page={size}&page={page + 1}"
            headers["Link"] = (
                f'<{self.forge.uri}/first>; rel="first", <{url}>; rel="next"'
            )
        self._send(200, items[(page - 1) * size : page * size], headers)

    def _send(
        self, status: int, content: Any, headers: dict[str, str] | None = None
    ) -> None:
        body = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status == 429 or (headers or {}).get("X-RateLimit-Remaining") == "0":
            self.send_header("X-RateLimit-Reset", str(int(time.time())))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass
