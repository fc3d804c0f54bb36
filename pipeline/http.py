"""HTTP for the pipeline's clients: one timeout, one retry policy, no redirects."""

from dataclasses import dataclass
from typing import Any, Self

import urllib3
from urllib3.exceptions import MaxRetryError, ResponseError

_PASSING = (429, 500, 502, 503, 504)
_NO_METHODS = ("",)  # an empty collection would allow all
_LONGEST_LIMIT_S = 60  # a longer Retry-After is not waited for


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How often a request is repeated that failed for a reason that passes.

    Attributes:
        tries: repetitions after the first request.
        pause_s: backoff factor. The first repetition comes at once, the n-th after
            pause_s · 2ⁿ⁻¹ seconds.
        longest_s: longest pause.
    """

    tries: int = 6
    pause_s: float = 1.0
    longest_s: float = 15.0

    @property
    def pauses(self) -> list[float]:
        """Seconds before each repetition, as urllib3's Retry waits."""
        later = range(1, self.tries)
        return [0.0, *(min(self.longest_s, self.pause_s * 2**n) for n in later)]


NO_PATIENCE = Patience(tries=0)


class Connection:
    """Requests to one server.

    A server that never answered is not waited for. Redirects are answers: they
    mostly lead to a login page, and a token must not follow them.

    Args:
        timeout_s: for the connection, and again for the answer.
        pool: of urllib3, where it needs certificates or a proxy.
    """

    def __init__(
        self,
        *,
        timeout_s: float = 30.0,
        patience: Patience = NO_PATIENCE,
        pool: urllib3.PoolManager | None = None,
    ):
        self._timeout = urllib3.Timeout(connect=timeout_s, read=timeout_s)
        self._patience = patience
        self._pool = pool or urllib3.PoolManager()
        self._has_answered = False

    def request(
        self, method: str, url: str, *, repeatable: bool | None = None, **options: Any
    ) -> urllib3.BaseHTTPResponse:
        """Send a request, and again while it fails for a reason that passes.

        Args:
            repeatable: whether twice is as good as once. Default: yes, but for POST. A
                request that was certainly not carried out is repeated in any case.
            options: of `urllib3.PoolManager.request`.

        Returns:
            The answer, of whatever status.

        Raises:
            urllib3.exceptions.HTTPError: there was none.
        """
        if repeatable is None:
            repeatable = method != "POST"
        options["timeout"] = options.get("timeout") or self._timeout
        options["retries"] = _Retry(
            total=self._patience.tries,
            connect=None if self._has_answered else 0,
            read=None if self._has_answered else 2,
            other=0,  # such as of a certificate
            redirect=False,
            status_forcelist=_PASSING,
            allowed_methods=None if repeatable else _NO_METHODS,
            backoff_factor=self._patience.pause_s,
            backoff_max=self._patience.longest_s,
            retry_after_max=_LONGEST_LIMIT_S,
            raise_on_status=False,
        )
        answer = self._pool.request(method, url, redirect=False, **options)
        self._has_answered = True
        return answer


class _Retry(urllib3.Retry):
    """Repeats after a limit of requests, too: what was refused was not carried out."""

    def is_retry(self, method: str, status_code: int, *given: Any) -> bool:
        has_retry_after = bool(given and given[0])
        if status_code == 429 or (status_code == 403 and has_retry_after):
            return bool(self.total)
        return super().is_retry(method, status_code, has_retry_after)

    def increment(self, *given: Any, **options: Any) -> Self:
        answer = options.get("response")
        if answer is not None:
            wait_s = self.get_retry_after(answer) or 0.0
            if wait_s >= self.retry_after_max:
                raise MaxRetryError(options["_pool"], None, ResponseError())
        return super().increment(*given, **options)
