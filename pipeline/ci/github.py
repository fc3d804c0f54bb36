"""GitHub's REST API, as far as retraining needs it: statuses and comments."""

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import urllib3

from pipeline.http import Connection, Patience
from seglib.errors import SegError

TOKENS = ("GITHUB_TOKEN", "GH_TOKEN")
REPOSITORY = "GITHUB_REPOSITORY"  # owner/name
_ADDRESS = "https://api.github.com"
_LOCAL = ("127.0.0.1", "localhost", "::1")
_FOREIGN = ("AWS_", "KFP_", "KF_", "MLFLOW_")
_PATIENCE = Patience(tries=4, pause_s=0.5)
_LONGEST_COMMENT = 60_000  # characters; GitHub takes 65,536
_LONGEST_DESCRIPTION, _LONGEST_SAID = 140, 300


class State(StrEnum):
    """Of a commit's status."""

    pending = "pending"
    success = "success"
    failure = "failure"
    error = "error"


@dataclass(frozen=True)
class Status:
    """What a commit's page shows under a name of ours."""

    context: str
    state: State
    description: str
    url: str = ""  # where it leads


class Place(NamedTuple):
    """A page with comments."""

    name: str
    comments: str  # path of all of its comments
    comment: str  # path of one, without its id
    permission: str  # of a token that may change one


def pull_request(number: int) -> Place:
    """The page of a pull request."""
    path = f"issues/{number}/comments"
    name = f"pull request {number}"
    return Place(name, path, "issues/comments", "pull-requests: write")


def commit_page(sha: str) -> Place:
    """The page of a commit."""
    path = f"commits/{quote(sha)}/comments"
    return Place(f"commit {sha[:12]}", path, "comments", "contents: write")


class ForgeError(SegError):
    """The forge refuses, or does not answer."""

    def __init__(self, message: str, *, status: int = 0):
        super().__init__(message)
        self.status = status  # of HTTP; 0: there was no answer


class GitHub:
    """One repository on GitHub, or on a server of GitHub Enterprise.

    Runs of the same job come one after the other (`concurrency` of GitHub's workflows).
    A run that was killed, or whose answer was lost, is repaired by the next one.

    Args:
        repository: owner/name.
        token: sent as a bearer's; kept out of every message.
        address: of the API; https, unless it is on this machine.
        patience: how often a request is repeated that failed for a passing reason.
    """

    def __init__(
        self,
        repository: str,
        *,
        token: str,
        address: str = _ADDRESS,
        patience: Patience = _PATIENCE,
    ):
        place = urlsplit(address)
        if place.scheme != "https" and place.hostname not in _LOCAL:
            raise ForgeError(
                f"{address}: the token is sent over https only. Expected an address "
                "that begins with https://."
            )
        self._address, self._token = address.rstrip("/"), token
        self._root = f"{self._address}/repos/{quote(repository)}"
        self._connection = Connection(patience=patience)
        self._login: str | None = None  # not asked yet

    def status(self, commit: str, context: str) -> Status | None:
        """The newest status of that name; None: there is none, or nobody pushed it."""
        try:
            for one in self._list(f"commits/{quote(commit)}/statuses"):
                if one["context"] == context:
                    text, url = one["description"] or "", one["target_url"] or ""
                    return Status(context, State(one["state"]), text, url)
        except ForgeError as error:
            if "No commit found" not in str(error):
                raise
        return None

    def set_status(self, commit: str, status: Status) -> bool:
        """Set a commit's status, unless it is just that; says whether it was set."""
        text = status.description
        if len(text) > _LONGEST_DESCRIPTION:
            text = f"{text[: _LONGEST_DESCRIPTION - 1]}…"
        if self.status(commit, status.context) == replace(status, description=text):
            return False
        body = {"state": status.state, "context": status.context, "description": text}
        if status.url:
            body["target_url"] = status.url
        # Twice is as good as once: the newest of a name is the one that is shown.
        self._ask("POST", f"statuses/{quote(commit)}", body, repeatable=True)
        return True

    def keep_comment(
        self, place: Place, key: str, text: str, *, create: bool = True
    ) -> str:
        """Have exactly one comment with this key at a place, with this text.

        Args:
            key: names the comment; it is hidden in its text.
            create: make one where there is none.

        Returns:
            What was done: created, updated, unchanged or not needed.
        """
        if len(text) > _LONGEST_COMMENT:
            cut = f"\n\n… cut: the text is {len(text):,} characters long."
            text = text[:_LONGEST_COMMENT] + cut
        marker = f"<!-- seglib:{key} -->"
        body = f"{marker}\n{text}"
        marked = [
            one
            for one in self._list(place.comments)
            if (one["body"] or "").startswith(marker)
        ]
        found = sorted(self._own(marked), key=lambda one: int(one["id"]))
        if not found:
            if create:
                self._ask("POST", place.comments, {"body": body})
            return "created" if create else "not needed"
        oldest, *younger = found
        for comment in younger:
            self._change("DELETE", place, comment)
        if oldest["body"] == body:
            return "unchanged"
        self._change("PATCH", place, oldest, {"body": body})
        return "updated"

    def _change(
        self, method: str, place: Place, comment: Any, body: Any = None
    ) -> None:
        try:
            self._ask(method, f"{place.comment}/{comment['id']}", body)
        except ForgeError as error:
            if method == "DELETE" and error.status in (404, 410):
                return  # it is gone already
            if error.status != 403:
                raise
            needed = f"To change a comment there, the token needs {place.permission}."
            raise ForgeError(f"{error} {needed}", status=403) from error

    def _own(self, comments: list[Any]) -> Iterable[Any]:
        """Those that this token wrote: anybody could write the marker."""
        if comments and self._login is None:
            try:
                answer = _content(self._ask("GET", f"{self._address}/user"))
                self._login = str(answer["login"])
            except ForgeError as error:
                if error.status != 403:
                    raise
                self._login = ""  # an app's token, such as that of GitHub Actions
        key, own = ("login", self._login) if self._login else ("type", "Bot")
        return (one for one in comments if (one["user"] or {}).get(key) == own)

    def _list(self, path: str) -> Iterator[Any]:
        """The items of a list, which is sent in pages."""
        url = f"{self._root}/{path}?per_page=100"
        while url:
            answer = self._ask("GET", url)
            link = answer.headers.get("link") or ""  # RFC 8288
            found = re.search(r'<([^>]*)>[^,]*rel="next"', link)
            url = found[1] if found else ""
            if url and urlsplit(url)[:2] != urlsplit(self._address)[:2]:
                raise ForgeError(
                    f"{self._address}: its next page is on another server, which must "
                    f"not see the token. Received: {url}."
                )
            yield from _content(answer)

    def _ask(
        self, method: str, url: str, body: Any = None, *, repeatable: bool | None = None
    ) -> urllib3.BaseHTTPResponse:
        """The answer of a URL, or of a path of the repository."""
        url = url if "://" in url else f"{self._root}/{url}"
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "User-Agent": "seglib-retrain",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        content = None if body is None else json.dumps(body).encode()
        try:
            answer = self._connection.request(
                method, url, body=content, headers=headers, repeatable=repeatable
            )
        except urllib3.exceptions.HTTPError as error:
            said = self._without_token(str(error))
            raise ForgeError(f"{method} {url}: no answer ({said}).") from error
        if answer.status >= 300:
            said = self._without_token(_message(answer))
            text = f"{method} {url}: status {answer.status}. {said}".rstrip()
            raise ForgeError(f"{text}{_limit(answer)}", status=answer.status)
        return answer

    def _without_token(self, text: str) -> str:
        shown = text.replace(self._token, "***") if self._token else text
        return shown.strip()[:_LONGEST_SAID]


def find_forge(environment: Mapping[str, str]) -> GitHub | None:
    """The forge that the environment names; None without token or repository.

    Args:
        environment: GITHUB_REPOSITORY (owner/name), GITHUB_TOKEN or GH_TOKEN, and
            GITHUB_API_URL where it is not GitHub itself.
    """
    if missing(environment):
        return None
    token = next(filter(None, map(environment.get, TOKENS)))
    repository = environment[REPOSITORY]
    if not re.fullmatch(r"[^/]+/[^/]+", repository):
        raise ForgeError(
            f"{REPOSITORY}: expected owner/name. Received: {REPOSITORY}={repository!r}."
        )
    address = environment.get("GITHUB_API_URL") or _ADDRESS
    return GitHub(repository, token=token, address=address)


def missing(environment: Mapping[str, str]) -> str:
    """The variables that are not set and name the forge, for messages."""
    lacks = [] if any(map(environment.get, TOKENS)) else [TOKENS[0]]
    lacks += [] if environment.get(REPOSITORY) else [REPOSITORY]
    return " and ".join(lacks)


def forget_empty(environment: MutableMapping[str, str]) -> None:
    """Remove empty variables: CI sets those so that are not there, and boto3 balks."""
    for name in [name for name, value in environment.items() if not value]:
        if name.startswith(_FOREIGN):
            del environment[name]


def _content(answer: urllib3.BaseHTTPResponse) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise ForgeError(f"{answer.url}: its answer is no JSON.") from error


def _message(answer: urllib3.BaseHTTPResponse) -> str:
    try:
        said = answer.json()
    except ValueError:
        return answer.data.decode("utf-8", "replace")
    return str(said.get("message", "")) if isinstance(said, dict) else str(said)


def _limit(answer: urllib3.BaseHTTPResponse) -> str:
    """When a limit of requests ends, as a sentence; empty where none was met."""
    if answer.status not in (403, 429):
        return ""
    seconds = urllib3.Retry().get_retry_after(answer)
    reset = answer.headers.get("x-ratelimit-reset", "")
    is_met = answer.headers.get("x-ratelimit-remaining") == "0" and reset.isdigit()
    if seconds is None and is_met:
        seconds = max(0.0, int(reset) - time.time())
    if seconds is None:
        return ""
    minutes = f"{seconds / 60:.0f} minutes"
    return f" The limit of requests ends in {minutes}. Run the same command again then."
