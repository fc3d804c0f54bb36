"""How long a training has taken in all its processes, and how many steps are left."""

import time
from collections.abc import Callable

_S_PER_MINUTE = 60


class Clock:
    """The time that a training has taken, across its interruptions.

    Args:
        max_minutes: after which it ends; 0: never.
        now: gives the time in seconds.
    """

    def __init__(self, max_minutes: float, now: Callable[[], float] = time.monotonic):
        self._now = now
        self._started = self._epoch_started = self._timed_from = now()
        self._limit_s = _S_PER_MINUTE * max_minutes or float("inf")
        self._untimed_steps = 0
        self._first_step_is_done = False
        self._timed_s = 0.0  # before the interruption

    @property
    def elapsed_s(self) -> float:
        """Seconds since the training began, without those between its processes."""
        return self._now() - self._started

    @property
    def epoch_s(self) -> float:
        """Seconds since the epoch began."""
        return self._now() - self._epoch_started

    @property
    def left_s(self) -> float:
        """Seconds until the limit; infinite without one."""
        return self._limit_s - self.elapsed_s

    def begin_epoch(self) -> None:
        self._epoch_started = self._now()

    def end_step(self) -> None:
        """Note the end of a step; the first of a process compiles, and is not timed."""
        if not self._first_step_is_done:
            self._first_step_is_done = True
            self._untimed_steps += 1
            self._timed_from = self._now() - self._timed_s

    def total_steps(self, done: int, planned: int) -> int:
        """As planned, or as many as the time still allows at the present pace."""
        timed = done - self._untimed_steps
        if self._limit_s == float("inf") or timed < 1:
            return planned
        pace = (self._now() - self._timed_from) / timed
        return min(planned, done + max(1, round(self.left_s / pace)))

    def state(self) -> dict[str, float]:
        """What `resume` needs in another process, as JSON values."""
        return {
            "elapsed_s": self.elapsed_s,
            "epoch_s": self.epoch_s,
            "timed_s": self._now() - self._timed_from,
            "untimed_steps": self._untimed_steps,
        }

    def resume(self, state: dict[str, float]) -> None:
        """Count on from the `state` of another process' clock."""
        self._started -= state["elapsed_s"]
        self._epoch_started = self._now() - state["epoch_s"]
        self._timed_s = state["timed_s"]
        self._untimed_steps = int(state["untimed_steps"])
