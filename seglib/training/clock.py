"""The time that a training has, takes, and spends on validation."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

VALIDATION_SHARE = 0.1  # of the time, where a training chooses how often
CLOCK_FACTS = {
    "elapsed_s",
    "epoch_s",
    "timed_s",
    "untimed_steps",
    "validation_s",
    "newest_validation_s",
}


class Clock:
    """The time that a training has taken, across its interruptions.

    Args:
        max_minutes: after which it ends; 0: never.
        now: gives the time in seconds.
    """

    def __init__(self, max_minutes: float, now: Callable[[], float] = time.monotonic):
        self._now = now
        self._started = self._epoch_started = self._timed_from = now()
        self._limit_s = 60 * max_minutes or float("inf")
        self._untimed_steps = 0
        self._first_step_is_done = False
        self._timed_s = 0.0  # before the interruption
        self._validation_s = self._newest_validation_s = 0.0

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

    @property
    def validation_share(self) -> float:
        """Share of the elapsed time that validation took."""
        return self._validation_s / max(self.elapsed_s, 1e-9)

    def can_afford_validation(self) -> bool:
        """Whether validation takes its share of the time at most with one more.

        It is taken to last as long as the newest; the first one is affordable.
        """
        next_s = self._newest_validation_s
        allowed_s = VALIDATION_SHARE * (self.elapsed_s + next_s)
        return self._validation_s + next_s <= allowed_s

    @contextmanager
    def validation(self) -> Iterator[None]:
        """Time a validation."""
        started = self._now()
        yield
        self._newest_validation_s = self._now() - started
        self._validation_s += self._newest_validation_s

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

    def facts(self) -> dict[str, float]:
        """What `resume` needs in another process: `CLOCK_FACTS`, as JSON values."""
        return {
            "elapsed_s": self.elapsed_s,
            "epoch_s": self.epoch_s,
            "timed_s": self._now() - self._timed_from,
            "untimed_steps": self._untimed_steps,
            "validation_s": self._validation_s,
            "newest_validation_s": self._newest_validation_s,
        }

    def resume(self, facts: Mapping[str, float]) -> None:
        """Count on from the `facts` of another process's clock."""
        self._started -= facts["elapsed_s"]
        self._epoch_started = self._now() - facts["epoch_s"]
        self._timed_s = facts["timed_s"]
        self._untimed_steps = int(facts["untimed_steps"])
        self._validation_s = facts["validation_s"]
        self._newest_validation_s = facts["newest_validation_s"]
