"""Questions to servers: one HTTP request each, with a limit to how long it may take."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from seglib.plain_text import without_login

_MOST_BYTES = 2**20


@dataclass(frozen=True)
class Answer:
    """What a server said; `status` 0: nothing, and `reason` says why."""

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


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """A redirect is an answer: mostly to a page for logging in."""


def ask(
    url: str,
    *,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    body: bytes | None = None,
    follow: bool = False,
) -> Answer:
    """Make a request; whatever goes wrong is an answer, too."""
    try:
        request = urllib.request.Request(
            url, data=body, headers=dict(headers or {}), method=method
        )
        opener = urllib.request.build_opener(*() if follow else (_NoRedirect,))
        with opener.open(request, timeout=timeout_s) as response:
            return _answer(
                response.status, response.read(_MOST_BYTES), response.headers
            )
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error.code, error.read(_MOST_BYTES), error.headers)
    except (OSError, ValueError) as error:
        return Answer(0, reason=_reason(error))


def _answer(status: int, content: bytes, headers: Message) -> Answer:
    lower = {name.lower(): str(value) for name, value in headers.items()}
    return Answer(status, content.decode("utf-8", "replace"), lower)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    inner = getattr(error, "reason", None)
    if isinstance(inner, TimeoutError):
        return "it did not answer in time"
    return without_login(str(getattr(inner, "strerror", None) or inner or error))
