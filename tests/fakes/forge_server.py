"""A forge on loopback: GitHub's calls for statuses and comments, over real HTTP.

Every request is held against GitHub's own description. It keeps what it is told,
checks who asks and what they may, sends lists in pages, and fails, loses answers or
limits requests where a test says so.
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
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema

TOKEN = "ghs_canaryTokenThatMustNotBeWrittenAnywhere42"
REPOSITORY = "roads/streets"
LOGIN = "github-actions[bot]"
# GitHub's own description of the calls, and who does them here with which permission.
_DESCRIBED = json.loads(
    (Path(__file__).parent / "github_calls.json").read_text(encoding="utf-8")
)["calls"]
_CALLS = {
    "repos/list-commit-statuses-for-ref": ("list_statuses", "read"),
    "repos/create-commit-status": ("create_status", "statuses"),
    "repos/list-comments-for-commit": ("list_comments", "read"),
    "repos/create-commit-comment": ("create_comment", "read"),
    "repos/update-commit-comment": ("edit_comment", "contents"),
    "repos/delete-commit-comment": ("delete_comment", "contents"),
    "issues/list-comments": ("list_comments", "read"),
    "issues/create-comment": ("create_comment", "pulls"),
    "issues/update-comment": ("edit_comment", "pulls"),
    "issues/delete-comment": ("delete_comment", "pulls"),
    "users/get-authenticated": ("user", "read"),
}


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
    violations: list[str] = field(default_factory=list)  # of GitHub's description
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

    def list_statuses(self, sha: str) -> list[dict[str, Any]]:
        return self.statuses.get(sha, [])[::-1]

    def create_status(self, sha: str, body: Any) -> dict[str, Any]:
        assert len(body["description"]) <= 140, body
        status = {"target_url": None, **body}
        self.statuses.setdefault(sha, []).append(status)
        return status

    def list_comments(self, place: str) -> list[dict[str, Any]]:
        return self.comments.get(_place(place), [])

    def create_comment(self, place: str, body: Any) -> Any:
        kind = "User" if self.login else "Bot"
        login = self.login or LOGIN
        return self.add_comment(_place(place), body["body"], login=login, kind=kind)

    def edit_comment(self, number: str, body: Any) -> Any:
        _, comment = self._find(number)
        comment["body"] = body["body"]
        return comment

    def delete_comment(self, number: str) -> None:
        place, comment = self._find(number)
        self.comments[place].remove(comment)

    def user(self) -> dict[str, str]:
        if not self.login:
            raise PermissionError("Resource not accessible by integration")
        return {"login": self.login, "type": "User"}

    def _find(self, number: str) -> tuple[str, dict[str, Any]]:
        for place, comments in self.comments.items():
            for comment in comments:
                if comment["id"] == int(number):
                    return place, comment
        raise LookupError("Not Found")

    def take_fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.method == method and fault.path in path:
                    self.faults.remove(fault)
                    return fault
        return None

    def answer(
        self, method: str, path: str, query: set[str], body: Any
    ) -> tuple[int, Any]:
        for call, described in _DESCRIBED.items():
            verb, pattern = call.split()
            place = f"/repos/{REPOSITORY}"
            pattern = pattern.replace("/repos/{owner}/{repo}", place)
            match = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>\\w+)", pattern), path)
            if verb != method or not match:
                continue
            self._check(call, described, query, body)
            return self._do(described, match.groupdict(), body)
        self.violations.append(f"{method} {path}: GitHub has no such call")
        return 404, {"message": "Not Found"}

    def _check(self, call: str, described: Any, query: set[str], body: Any) -> None:
        """Note what GitHub would not expect."""
        if unknown := query - set(described["query"]):
            self.violations.append(f"{call}: {unknown} in the query")
        if body is None and "body" not in described:
            return
        try:
            jsonschema.validate(body, described.get("body", {"not": {}}))
        except jsonschema.ValidationError as error:
            self.violations.append(f"{call}: {error.message}")

    def _do(self, described: Any, places: dict[str, str], body: Any) -> tuple[int, Any]:
        name, permission = _CALLS[described["operation"]]
        if permission not in {"read", *self.permissions}:
            return 403, {"message": "Resource not accessible by integration"}
        content = {} if body is None else {"body": body}
        try:
            with self.lock:
                found = getattr(self, name)(*places.values(), **content)
        except LookupError as error:
            return 404, {"message": str(error.args[0])}
        except PermissionError as error:
            return 403, {"message": str(error.args[0])}
        return described["success"], found


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
    assert not forge.violations


def _place(name: str) -> str:
    """Of a commit's hash or an issue's number."""
    return f"issues/{name}" if len(name) < 7 else f"commits/{name}"


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
            self.command,
            address.path,
            set(parse_qs(address.query)),
            json.loads(text) if text else None,
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
