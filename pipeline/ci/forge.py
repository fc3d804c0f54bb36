"""The words of a forge: statuses, comments, the places where they are."""

from dataclasses import dataclass
from enum import StrEnum

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
    """The forge refuses, or does not answer.

    Attributes:
        status: of HTTP; 0 where there was no answer.
    """

    def __init__(self, message: str, *, status: int = 0):
        super().__init__(message)
        self.status = status
