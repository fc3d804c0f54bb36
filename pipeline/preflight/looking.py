"""Looks at the surroundings, all at once and each in its time; one HTTP request."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from time import monotonic

import urllib3
from urllib3.exceptions import HTTPError

from pipeline.preflight.findings import Finding, FoundError
from seglib.plain_text import without_login

Seen = Iterable[Finding | str]  # problems, and notes about what is in order
_REDIRECTS = 5


@dataclass(frozen=True)
class Look:
    """A check of the surroundings; `see` may end with a FoundError."""

    subject: str
    see: Callable[[], Seen]
    timeout_s: float


def look_at_all(looks: Sequence[Look]) -> list[Finding | str]:
    """Look at everything at the same time.

    A name that does not resolve, or a library without limits, may take minutes. Such a
    thread is abandoned after its time, and ends with the process.
    """
    started = monotonic()
    waiting = [(look, _start(look)) for look in looks]
    seen: list[Finding | str] = []
    for look, future in waiting:
        wait([future], timeout=max(0.0, started + look.timeout_s - monotonic()))
        if future.done():
            seen += future.result()
        else:
            what = f"no answer within {look.timeout_s:g} s"
            seen.append(Finding("S290", look.subject, what))
    return seen


def ask(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    timeout_s: float,
    code: str,
    where: str,
    follow: bool = False,
) -> urllib3.BaseHTTPResponse:
    """Make a request, without repetition.

    Args:
        timeout_s: of the connection, and of each read.
        code, where: of the finding that no answer is.
        follow: follow redirects. Else a redirect, mostly to a login page, is the
            answer.
    """
    retries = urllib3.Retry(connect=0, read=0, other=0, redirect=_REDIRECTS)
    try:
        with urllib3.PoolManager(retries=retries, timeout=timeout_s) as pool:
            return pool.request(method, url, headers=headers, redirect=follow)
    except (HTTPError, OSError, ValueError) as error:
        raise FoundError(code, where, reason(error)) from error


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


def _start(look: Look) -> Future[list[Finding | str]]:
    future: Future[list[Finding | str]] = Future()

    def work() -> None:
        seen: list[Finding | str] = []
        try:
            seen.extend(look.see())
            future.set_result(seen)
        except FoundError as found:
            future.set_result([*seen, found.finding])
        except BaseException as error:  # noqa: BLE001 raised by future.result()
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future
