"""Several looks at the surroundings at once, none of which can hold up the rest."""

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from pipeline.preflight.findings import Finding


@dataclass(frozen=True)
class Seen:
    """What a look gave: what is wrong, and what is worth knowing."""

    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Look:
    """Something to look at."""

    subject: str
    see: Callable[[], Seen]
    timeout_s: float


def look_at_all(looks: Sequence[Look]) -> list[Seen]:
    """Look at everything at the same time.

    A name that does not resolve, or a library without limits, may take minutes; its
    thread is left alone after its time, and ends with the process.
    """
    results: queue.Queue[tuple[int, Seen | BaseException]] = queue.Queue()

    def work(index: int, look: Look) -> None:
        try:
            results.put((index, look.see()))
        except BaseException as error:  # noqa: BLE001 it is raised by who waits
            results.put((index, error))

    started = monotonic()
    for index, look in enumerate(looks):
        threading.Thread(target=work, args=(index, look), daemon=True).start()
    seen: dict[int, Seen] = {}
    while len(seen) < len(looks):
        waiting = [i for i in range(len(looks)) if i not in seen]
        longest = max(looks[i].timeout_s for i in waiting)
        try:
            left = max(0.0, started + longest - monotonic())
            index, result = results.get(timeout=left)
        except queue.Empty:
            break
        if isinstance(result, BaseException):
            raise result
        seen[index] = result
    return [seen.get(i) or _late(look) for i, look in enumerate(looks)]


def _late(look: Look) -> Seen:
    what = f"nothing was said within {look.timeout_s:g} s"
    return Seen((Finding(code="S290", where=look.subject, what=what),))
