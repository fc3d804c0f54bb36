"""GitHub's REST API, as far as retraining needs it: statuses and comments."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any
from urllib.parse import quote, urlsplit

import urllib3

from pipeline.ci.forge import Comment, Commit, ForgeError, Place, State, Status
from pipeline.http import Connection, Patience

TOKENS = ("GITHUB_TOKEN", "GH_TOKEN")
_ADDRESS = "https://api.github.com"
_LOCAL = ("127.0.0.1", "localhost", "::1")
_FOREIGN = ("AWS_", "KFP_", "KF_", "MLFLOW_")
_LONGEST_SAID = 300  # characters of what the server says
_PATIENCE = Patience(tries=4, pause_s=0.5)


class GitHub:
    """One repository on GitHub, or on a server of GitHub Enterprise.

    Args:
        repository: owner/name.
        token: sent as a bearer's; kept out of every message.
        address: of the API.
        patience: how often a request is repeated that failed for a passing reason.

    Raises:
        ForgeError: the token would go over the network unencrypted.
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
        """The newest status of that name; None: there is none."""
        for found in self._statuses(commit):
            if found["context"] == context:
                return Status(
                    context=context,
                    state=State(found["state"]),
                    description=found["description"] or "",
                    url=found["target_url"] or "",
                )
        return None

    def set_status(self, commit: str, status: Status) -> None:
        """Add a status; the newest of a name is the one that is shown."""
        body = {
            "state": str(status.state),
            "context": status.context,
            "description": status.description,
        }
        if status.url:
            body["target_url"] = status.url
        url = f"{self._root}/statuses/{quote(commit)}"
        self._ask("POST", url, body, repeatable=True)  # twice is as good as once

    def comments(self, place: Place) -> list[Comment]:
        """Our own comments there, the oldest first; nobody else's."""
        found = self._own(self._pages(f"{self._list(place)}?per_page=100"))
        comments = [Comment(int(one["id"]), one["body"] or "") for one in found]
        return sorted(comments, key=lambda comment: comment.id)

    def create_comment(self, place: Place, body: str) -> Comment:
        """Add a comment. If its answer is lost, it may be there all the same."""
        answer = _content(self._ask("POST", self._list(place), {"body": body}))
        return Comment(int(answer["id"]), answer["body"])

    def edit_comment(self, place: Place, comment: Comment, body: str) -> None:
        """Give a comment another text."""
        self._change("PATCH", place, comment, {"body": body})

    def delete_comment(self, place: Place, comment: Comment) -> None:
        """Remove a comment; one that is gone already is no error."""
        try:
            self._change("DELETE", place, comment)
        except ForgeError as error:
            if error.status not in (404, 410):
                raise

    def _statuses(self, commit: str) -> Iterator[Any]:
        """The newest first; none of a commit that nobody pushed."""
        try:
            yield from self._pages(
                f"{self._root}/commits/{quote(commit)}/statuses?per_page=100"
            )
        except ForgeError as error:
            if "No commit found" not in str(error):
                raise

    def _change(
        self, method: str, place: Place, comment: Comment, body: Any = None
    ) -> None:
        is_commit = isinstance(place, Commit)
        kind = "comments" if is_commit else "issues/comments"
        try:
            self._ask(method, f"{self._root}/{kind}/{comment.id}", body)
        except ForgeError as error:
            if error.status != 403:
                raise
            needed = "contents: write" if is_commit else "pull-requests: write"
            raise ForgeError(
                f"{error} To change a comment there, the token needs {needed}.",
                status=403,
            ) from error

    def _own(self, comments: Iterable[Any]) -> list[Any]:
        """Those that this token wrote: anybody could write the marker."""
        found = list(comments)
        if found and self._login is None:
            self._login = self._ask_login()
        key, own = ("login", self._login) if self._login else ("type", "Bot")
        return [one for one in found if (one["user"] or {}).get(key) == own]

    def _ask_login(self) -> str:
        """The token's owner; empty for an app's, such as that of GitHub Actions."""
        try:
            return str(_content(self._ask("GET", f"{self._address}/user"))["login"])
        except ForgeError as error:
            if error.status != 403:
                raise
            return ""

    def _list(self, place: Place) -> str:
        if isinstance(place, Commit):
            return f"{self._root}/commits/{quote(place.sha)}/comments"
        return f"{self._root}/issues/{place.number}/comments"

    def _pages(self, url: str) -> Iterator[Any]:
        """The items of a list that is sent in pages."""
        while url:
            answer = self._ask("GET", url)
            yield from _content(answer)
            url = _next_page(answer)
            if url and urlsplit(url)[:2] != urlsplit(self._address)[:2]:
                raise ForgeError(
                    f"{self._address}: its next page is on another server, which must "
                    f"not see the token. Received: {url}."
                )

    def _ask(
        self, method: str, url: str, body: Any = None, *, repeatable: bool | None = None
    ) -> urllib3.BaseHTTPResponse:
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
    """The forge that the environment names.

    Args:
        environment: GITHUB_REPOSITORY (owner/name), GITHUB_TOKEN or GH_TOKEN, and
            GITHUB_API_URL where it is not GitHub itself.

    Returns:
        None where there is no token or no repository.

    Raises:
        ForgeError: the repository's name is none, or the address would not be safe.
    """
    token = next(filter(None, map(environment.get, TOKENS)), "")
    repository = environment.get("GITHUB_REPOSITORY", "")
    if not token or not repository:
        return None
    owner, slash, name = repository.partition("/")
    if not (owner and slash and name) or "/" in name:
        raise ForgeError(
            "GITHUB_REPOSITORY: expected owner/name. "
            f"Received: GITHUB_REPOSITORY={repository!r}."
        )
    address = environment.get("GITHUB_API_URL") or _ADDRESS
    return GitHub(repository, token=token, address=address)


def missing(environment: Mapping[str, str]) -> str:
    """The variables that are not set and name the forge, for messages."""
    lacks = []
    if not any(environment.get(name) for name in TOKENS):
        lacks.append(TOKENS[0])
    if not environment.get("GITHUB_REPOSITORY"):
        lacks.append("GITHUB_REPOSITORY")
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
    reset = answer.headers.get("x-ratelimit-reset", "")
    after = answer.headers.get("retry-after", "")
    if answer.status not in (403, 429):
        return ""
    if after.isdigit():
        seconds = float(after)
    elif answer.headers.get("x-ratelimit-remaining") == "0" and reset.isdigit():
        seconds = max(0.0, int(reset) - time.time())
    else:
        return ""
    return (
        f" The limit of requests ends in {seconds / 60:.0f} minutes. Run the same "
        "command again then."
    )


def _next_page(answer: urllib3.BaseHTTPResponse) -> str:
    """The address of a list's next page (RFC 8288); empty: it was the last."""
    for part in (answer.headers.get("link") or "").split(","):
        address, _, relation = part.partition(">")
        if 'rel="next"' in relation:
            return address.strip().removeprefix("<")
    return ""
