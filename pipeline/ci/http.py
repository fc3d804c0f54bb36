"""Requests to a JSON API: patient with a busy server, silent about the token."""

import json
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import urllib3

from pipeline.ci.forge import (
    ForbiddenError,
    ForgeError,
    MissingError,
    UncertainError,
)

_ATTEMPTS = 5
_TIMEOUT_S = 30.0
_LONGEST_WAIT_S = 600.0  # for a limit of requests to end
_PAGES = 100
_BROKEN = (500, 502, 503, 504)
_NOT_SENT = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
)
_KINDS = {403: ForbiddenError, 404: MissingError, 410: MissingError}
_LOCAL = ("127.0.0.1", "localhost", "::1")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    headers: Mapping[str, str]
    content: Any  # JSON


class Api:
    """A JSON API below one address.

    Args:
        address: its root, without a slash at the end.
        token: sent as a bearer's; kept out of every message.
        headers: sent along.
        pause_s: before the second attempt; it doubles from there.
        wait: sleeps.
    """

    def __init__(
        self,
        address: str,
        *,
        token: str,
        headers: Mapping[str, str],
        pause_s: float = 0.5,
        wait: Callable[[float], None] = time.sleep,
    ):
        place = urlsplit(address)
        if place.scheme != "https" and place.hostname not in _LOCAL:
            raise ForgeError(
                f"{address}: the token is sent over https only. Expected an address "
                "that begins with https://."
            )
        self.address = address.rstrip("/")
        self._token = token
        self._headers = {**headers, "Authorization": f"Bearer {token}"}
        self._pause_s, self._wait = pause_s, wait
        # Attempts are ours to count, and a redirect could lead the token elsewhere.
        self._pool = urllib3.PoolManager(
            retries=False, timeout=urllib3.Timeout(total=_TIMEOUT_S)
        )

    def get(self, path: str) -> Any:
        return self.request("GET", path).content

    def pages(self, path: str) -> Iterator[Any]:
        """The items of a list that is sent in pages."""
        url: str | None = f"{self.address}{path}"
        for _ in range(_PAGES):
            if url is None:
                return
            answer = self._ask("GET", url, None, repeatable=True)
            yield from answer.content
            url = self._next(answer)

    def request(
        self, method: str, path: str, body: Any = None, *, repeatable: bool = True
    ) -> Answer:
        """Send a request, as often as it takes and is sound.

        Args:
            method: of HTTP.
            path: below the address, with a slash in front.
            body: sent as JSON.
            repeatable: whether doing it twice is as good as once.

        Raises:
            ForbiddenError: 403, and no limit of requests.
            MissingError: 404 or 410.
            UncertainError: it is not repeatable, and the answer was lost.
            ForgeError: any other refusal, or no answer at all.
        """
        return self._ask(method, f"{self.address}{path}", body, repeatable=repeatable)

    def _ask(self, method: str, url: str, body: Any, *, repeatable: bool) -> Answer:
        failure: ForgeError | None = None
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._pause(attempt)
            try:
                answer = self._send(method, url, body)
            except urllib3.exceptions.HTTPError as error:
                failure = self._silent(method, url, error)
                if not repeatable and not isinstance(error, _NOT_SENT):
                    raise UncertainError(str(failure)) from error
            else:
                seconds = _limited_for(answer)
                if seconds is not None:
                    failure = self._refusal(method, url, answer)
                    self._wait_for_limit(seconds, failure)
                elif answer.status in _BROKEN:
                    failure = self._refusal(method, url, answer)
                    if not repeatable:
                        raise UncertainError(str(failure))
                elif answer.status >= 300:
                    raise self._refusal(method, url, answer)
                else:
                    return answer
            logger.info("%s", failure)
        raise failure or ForgeError(f"{method} {url}: no attempt was made.")

    def _send(self, method: str, url: str, body: Any) -> Answer:
        headers = dict(self._headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        answer = self._pool.request(
            method,
            url,
            body=None if body is None else json.dumps(body).encode(),
            headers=headers,
            redirect=False,
        )
        text = answer.data.decode("utf-8", "replace")
        try:
            content = json.loads(text) if text.strip() else None
        except ValueError:
            content = text
        return Answer(answer.status, answer.headers, content)

    def _pause(self, attempt: int) -> None:
        # Not all at the same moments: those that failed together would meet again.
        self._wait(self._pause_s * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))

    def _wait_for_limit(self, seconds: float, failure: ForgeError) -> None:
        if seconds > _LONGEST_WAIT_S:
            raise ForgeError(
                f"{failure} The limit of requests ends in {seconds / 60:.0f} minutes. "
                "Run the same command again then."
            )
        self._wait(seconds)

    def _next(self, answer: Answer) -> str | None:
        """The address of the next page, if the API itself has it."""
        for part in (answer.headers.get("link") or "").split(","):
            address, _, relation = part.partition(">")
            if 'rel="next"' not in relation:
                continue
            url = address.strip().removeprefix("<")
            if urlsplit(url)[:2] != urlsplit(self.address)[:2]:
                raise ForgeError(
                    f"{self.address}: its next page is on another server, which must "
                    f"not see the token. Received: {url}."
                )
            return url
        return None

    def _refusal(self, method: str, url: str, answer: Answer) -> ForgeError:
        said = answer.content
        if isinstance(said, dict):
            said = said.get("message", "")
        text = self._without_token(str(said or "").strip())[:300]
        return _KINDS.get(answer.status, ForgeError)(
            f"{method} {url}: status {answer.status}. {text}".rstrip()
        )

    def _silent(self, method: str, url: str, error: Exception) -> ForgeError:
        text = self._without_token(str(error))[:300]
        return ForgeError(f"{method} {url}: no answer ({text}).")

    def _without_token(self, text: str) -> str:
        return text.replace(self._token, "***") if self._token else text


def _limited_for(answer: Answer) -> float | None:
    """Seconds until the server takes requests again; None: no limit was met."""
    if answer.status not in (403, 429):
        return None
    after = answer.headers.get("retry-after", "")
    if after.isdigit():
        return float(after)
    if answer.headers.get("x-ratelimit-remaining") == "0":
        reset = answer.headers.get("x-ratelimit-reset", "")
        return max(1.0, int(reset) - time.time()) if reset.isdigit() else 60.0
    return 60.0 if answer.status == 429 else None
