"""One HTTP request, without retries and with a limit of its duration."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import urllib3

from seglib.plain_text import without_login

_MOST_BYTES = 2**20
_FOLLOW = urllib3.Retry(connect=0, read=0, status=0, other=0, redirect=5)


@dataclass(frozen=True)
class Answer:
    """A server's answer; without one, `status` is 0 and `reason` says why."""

    status: int
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    reason: str = ""

    @property
    def json(self) -> Any:
        """The answer's JSON; {} if it is something else."""
        try:
            return json.loads(self.text)
        except ValueError:
            return {}


def ask(
    url: str,
    *,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    follow: bool = False,
) -> Answer:
    """Make a request; every failure is an answer.

    Args:
        timeout_s: of the connection, and of each read.
        follow: follow redirects. Else a redirect, mostly to a login page, is the
            answer.
    """
    try:
        response = urllib3.request(
            method,
            url,
            headers=headers,
            timeout=timeout_s,
            redirect=follow,
            retries=_FOLLOW if follow else False,
            preload_content=False,
        )
        with response:
            text = response.read(_MOST_BYTES).decode("utf-8", "replace")
        lower = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, text, lower)
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        return Answer(0, reason=reason(error))


def reason(error: BaseException) -> str:
    """Why a request failed, in a few words."""
    cause = getattr(error, "reason", None)  # of a MaxRetryError
    error = cause if isinstance(cause, BaseException) else error
    refused = isinstance(error, urllib3.exceptions.NewConnectionError)
    late = isinstance(error, urllib3.exceptions.TimeoutError | TimeoutError)
    if late and not refused:  # urllib3 counts a refused connection as a timeout
        return "it did not answer in time"
    text = str(error).rpartition(": ")[2].strip(" '\"()") or type(error).__name__
    return without_login(text)
