"""A forge on loopback: GitHub's calls for statuses and comments, over real HTTP.

Every request is held against GitHub's own description. It keeps what it is told,
checks who asks and what they may, sends lists in pages, and fails, loses answers or
limits requests where a test says so.
"""

import json
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema

from tests.fakes.loopback import Loopback, Reply, Request

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

    def reply(self, login: str) -> Reply:
        # The message repeats the credentials, as those of careless servers do.
        return Reply(self.status, {"message": f"{self.message} {login}"}, self.headers)


class ForgeServer(Loopback):
    """The state of the forge, open to tests.

    Attributes:
        login: of the token's owner; empty: an app's token, as in CI.
        permissions: of the token.
        comments, statuses: place → what is there, the oldest first.
        requests: "METHOD path" of each.
        violations: of GitHub's description.
        faults: of the next requests.
        page_size: at most.
    """

    def __init__(self) -> None:
        super().__init__()
        self.login = ""
        self.permissions = {"statuses", "pulls"}
        self.comments: dict[str, list[dict[str, Any]]] = {}
        self.statuses: dict[str, list[dict[str, Any]]] = {}
        self.requests: list[str] = []
        self.violations: list[str] = []
        self.faults: list[Fault] = []
        self.page_size = 100
        self.lock = threading.RLock()
        self._last_id = 1000

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

    def reply(self, request: Request) -> Reply:
        self.requests.append(f"{request.method} {request.path}")
        login = request.headers.get("authorization", "")
        if login != f"Bearer {TOKEN}":
            return Reply(401, {"message": f"Bad credentials {login}"})
        fault = self._take_fault(request)
        if fault and not fault.after:
            return fault.reply(login)
        status, content = self._answer(request)
        if fault:
            return fault.reply(login)
        if isinstance(content, list):
            return self._page(content, request)
        return Reply(status, content)

    def _take_fault(self, request: Request) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.method == request.method and fault.path in request.path:
                    self.faults.remove(fault)
                    return fault
        return None

    def _page(self, items: list[Any], request: Request) -> Reply:
        size = min(int(request.query.get("per_page", "30")), self.page_size)
        page = int(request.query.get("page", "1"))
        headers = {}
        if page * size < len(items):
            url = f"{self.url}{request.path}?per_page={size}&page={page + 1}"
            headers["Link"] = f'<{self.url}/first>; rel="first", <{url}>; rel="next"'
        return Reply(200, items[(page - 1) * size : page * size], headers)

    def _answer(self, request: Request) -> tuple[int, Any]:
        method, path, query, _, _ = request
        body = request.json
        for call, described in _DESCRIBED.items():
            verb, pattern = call.split()
            place = f"/repos/{REPOSITORY}"
            pattern = pattern.replace("/repos/{owner}/{repo}", place)
            match = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>\\w+)", pattern), path)
            if verb != method or not match:
                continue
            self._check(call, described, set(query), body)
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


def _place(name: str) -> str:
    """Of a commit's hash or an issue's number."""
    return f"issues/{name}" if len(name) < 7 else f"commits/{name}"
