"""What a training has cost in all its attempts, and whose work its outcome is."""

import time
from collections.abc import Mapping
from typing import Any

from seglib.runtime.step import Origin, run_id

BEFORE_S, TRAINED_BY = "before_s", "trained_by"  # of an origin


class Attempt:
    """One of a training's, which begins now.

    Each checkpoint carries the sum so far as its notes: whoever goes on from it, or
    takes the outcome over, counts on from there.
    """

    def __init__(self) -> None:
        self._started = time.monotonic()

    def notes(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """Those of a checkpoint that is written now.

        Args:
            found: those of the checkpoint from which this attempt goes on.
        """
        number, before_s = _sum(found)
        spent_s = before_s + time.monotonic() - self._started
        return {"run": run_id(), "attempts": number + 1, "spent_s": spent_s}


def tell_before(origin: Origin, found: Mapping[str, Any]) -> None:
    """Put into a training's origin what was before this attempt."""
    number, origin[BEFORE_S] = _sum(found)
    if number and (run := str(found.get("run", ""))) != run_id():
        plural = "s" * (number > 1)
        origin[TRAINED_BY] = f"run {run} in {number} attempt{plural}"


def total_s(origin: Origin) -> float:
    """How long a step took, with the attempts before the one that finished it."""
    return round(float(origin["duration_s"]) + float(origin.get(BEFORE_S, 0.0)), 3)


def _sum(found: Mapping[str, Any]) -> tuple[int, float]:
    """Attempts and seconds; zero where a checkpoint of an older version has none."""
    number, spent_s = found.get("attempts"), found.get("spent_s")
    if isinstance(number, int) and isinstance(spent_s, int | float):
        return number, float(spent_s)
    return 0, 0.0
