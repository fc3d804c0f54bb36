"""What a training has cost in all its attempts: the notes of its checkpoints."""

import time
from collections.abc import Mapping
from typing import Any

from seglib.runtime.events import run_id
from seglib.runtime.provenance import attempts_and_seconds


class Attempt:
    """An attempt at a training, which begins now.

    Each checkpoint carries the sum so far as its notes: the next attempt, or another
    run that takes the outcome over, counts on from there.
    """

    def __init__(self) -> None:
        self._started = time.monotonic()

    def notes(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """The notes of a checkpoint that is written now.

        Args:
            found: the notes of the checkpoint from which this attempt goes on.
        """
        number, before_s = attempts_and_seconds(found)
        spent_s = before_s + time.monotonic() - self._started
        return {"run": run_id(), "attempts": number + 1, "spent_s": spent_s}
