"""What retraining needs of a forge, whichever it is: statuses and comments.

`github.py` is the one implementation; another, such as GitLab's, has to offer the same
methods, and a line in `connection.py`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from seglib.errors import SegError


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


@dataclass(frozen=True)
class Comment:
    """One of our own comments."""

    id: int  # rises with time
    body: str


@dataclass(frozen=True)
class PullRequest:
    """A place for comments."""

    number: int

    def __str__(self) -> str:
        return f"pull request {self.number}"


@dataclass(frozen=True)
class Commit:
    """A place for comments, too."""

    sha: str

    def __str__(self) -> str:
        return f"commit {self.sha[:12]}"


Place = PullRequest | Commit


class ForgeError(SegError):
    """The forge said no, or nothing."""


class UncertainError(ForgeError):
    """No answer came to something that may have been done all the same."""


class ForbiddenError(ForgeError):
    """The token may not do this."""


class MissingError(ForgeError):
    """What was named is not there."""


class Forge(Protocol):
    """A forge as its API shows it.

    All methods raise ForgeError; what must not be done twice, UncertainError.
    """

    def status(self, commit: str, context: str) -> Status | None:
        """The newest status of that name; None: there is none."""

    def set_status(self, commit: str, status: Status) -> None:
        """Add a status; the newest of a name is the one that is shown."""

    def comments(self, place: Place) -> list[Comment]:
        """Our own comments there, the oldest first; nobody else's."""

    def create_comment(self, place: Place, body: str) -> Comment:
        """Add a comment.

        Raises:
            UncertainError: it is not known whether it is there.
        """

    def edit_comment(self, place: Place, comment: Comment, body: str) -> None:
        """Give a comment another text.

        Raises:
            MissingError: it is there no longer.
        """

    def delete_comment(self, place: Place, comment: Comment) -> None:
        """Remove a comment; one that is gone already is no error."""
