"""Looks at the surroundings, all at once; none can hold up the others."""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from time import monotonic

from pipeline.preflight.findings import Finding, FoundError

Seen = Iterable[Finding | str]  # problems, and notes about what is in order


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
