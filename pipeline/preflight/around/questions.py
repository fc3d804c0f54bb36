"""One HTTP request, without retries and with a limit of its duration."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import urllib3

from pipeline.http import Connection
from seglib.plain_text import without_login

_MOST_BYTES = 2**20
_REDIRECTS = 5


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
        answer = _ask(method, url, headers or {}, timeout_s)
        for _ in range(_REDIRECTS if follow else 0):
            if not (300 <= answer.status < 400 and "location" in answer.headers):
                break
            # The login is for the first server alone.
            url = urljoin(url, answer.headers["location"])
            kept = {k: v for k, v in (headers or {}).items() if k != "Authorization"}
            answer = _ask(method, url, kept, timeout_s)
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        return Answer(0, reason=reason(error))
    return answer


def _ask(method: str, url: str, headers: Mapping[str, str], timeout_s: float) -> Answer:
    connection = Connection(timeout_s=timeout_s)
    with connection.request(
        method, url, headers=headers, preload_content=False
    ) as response:
        text = response.read(_MOST_BYTES).decode("utf-8", "replace")
    lower = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status, text, lower)


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
