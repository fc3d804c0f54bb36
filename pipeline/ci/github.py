"""GitHub's REST API, as far as retraining needs it."""

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from pipeline.ci.forge import (
    Comment,
    Commit,
    ForbiddenError,
    ForgeError,
    MissingError,
    Place,
    State,
    Status,
)
from pipeline.ci.http import Api

ADDRESS = "https://api.github.com"
HEADERS = {
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",
    "User-Agent": "seglib-retrain",
}


class GitHub:
    """One repository on GitHub, or on a server of GitHub Enterprise.

    Args:
        api: of the server.
        repository: owner/name.
    """

    def __init__(self, api: Api, repository: str):
        self._api = api
        self._root = f"/repos/{quote(repository)}"
        self._login: str | None = None  # not asked yet

    def status(self, commit: str, context: str) -> Status | None:
        for found in self._statuses(commit):
            if found["context"] == context:
                return Status(
                    context=context,
                    state=State(found["state"]),
                    description=found["description"] or "",
                    url=found["target_url"] or "",
                )
        return None

    def _statuses(self, commit: str) -> Iterator[Any]:
        """The newest first; none of a commit that nobody pushed."""
        path = f"{self._root}/commits/{quote(commit)}/statuses?per_page=100"
        try:
            yield from self._api.pages(path)
        except ForgeError as error:
            if "No commit found" not in str(error):
                raise

    def set_status(self, commit: str, status: Status) -> None:
        body = {
            "state": str(status.state),
            "context": status.context,
            "description": status.description,
        }
        if status.url:
            body["target_url"] = status.url
        self._api.request("POST", f"{self._root}/statuses/{quote(commit)}", body)

    def comments(self, place: Place) -> list[Comment]:
        found = self._api.pages(f"{self._list(place)}?per_page=100")
        return [Comment(int(one["id"]), one["body"] or "") for one in self._own(found)]

    def create_comment(self, place: Place, body: str) -> Comment:
        answer = self._api.request(
            "POST", self._list(place), {"body": body}, repeatable=False
        )
        return Comment(int(answer.content["id"]), answer.content["body"])

    def edit_comment(self, place: Place, comment: Comment, body: str) -> None:
        try:
            self._api.request("PATCH", self._one(place, comment), {"body": body})
        except ForbiddenError as error:
            raise _with_permission(error, place) from error

    def delete_comment(self, place: Place, comment: Comment) -> None:
        try:
            self._api.request("DELETE", self._one(place, comment))
        except MissingError:
            return
        except ForbiddenError as error:
            raise _with_permission(error, place) from error

    def _own(self, comments: Iterable[Any]) -> list[Any]:
        """Those that this token wrote: anybody could write the marker."""
        found = list(comments)
        if found and self._login is None:
            self._login = self._ask_login()
        key, own = ("login", self._login) if self._login else ("type", "Bot")
        return [one for one in found if (one["user"] or {}).get(key) == own]

    def _ask_login(self) -> str:
        """Whose the token is; empty for an app's, such as that of GitHub Actions."""
        try:
            return str(self._api.get("/user")["login"])
        except ForbiddenError:
            return ""

    def _list(self, place: Place) -> str:
        if isinstance(place, Commit):
            return f"{self._root}/commits/{quote(place.sha)}/comments"
        return f"{self._root}/issues/{place.number}/comments"

    def _one(self, place: Place, comment: Comment) -> str:
        kind = "comments" if isinstance(place, Commit) else "issues/comments"
        return f"{self._root}/{kind}/{comment.id}"


def _with_permission(error: ForbiddenError, place: Place) -> ForbiddenError:
    """The error, with the permission that GitHub asks for."""
    name = "contents: write" if isinstance(place, Commit) else "pull-requests: write"
    return ForbiddenError(f"{error} To change a comment there, the token needs {name}.")
