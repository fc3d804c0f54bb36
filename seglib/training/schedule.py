"""The learning rate of each step, as a function of how far the training is."""

import math
from collections.abc import Callable

from seglib.config import TrainConfig

_ONE_CYCLE_RISES = 0.3  # of the steps
_ONE_CYCLE_STARTS = 1 / 25  # of the peak
_LAST = 0.01  # of the peak


def learning_rate_at(step: int, total_steps: int, config: TrainConfig) -> float:
    """The learning rate of a step: linear warm-up, then the schedule.

    Args:
        step: from 0.
        total_steps: of the training; warm-up takes a tenth of them at most.
        config: learning_rate (the peak), schedule and warmup_steps. `one_cycle` has a
            rise of its own in place of the warm-up.

    Example:
        >>> config = TrainConfig(learning_rate=1.0, warmup_steps=10)
        >>> [round(learning_rate_at(s, 110, config), 3) for s in (0, 4, 10, 59, 109)]
        [0.1, 0.5, 1.0, 0.513, 0.01]
    """
    rise = config.warmup_steps
    if config.schedule == "one_cycle":
        progress = step / max(1, total_steps - 1)
        return config.learning_rate * one_cycle(progress)
    warmup = min(rise, total_steps // 10)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, total_steps - warmup - 1)
    return config.learning_rate * SCHEDULES[config.schedule](progress)


def cosine(progress: float) -> float:
    """From 1 to 0.01 along half a cosine.

    Reference: Loshchilov and Hutter 2017, "SGDR", equation 5, without restarts.
    """
    return _LAST + (1 - _LAST) * (1 + math.cos(math.pi * progress)) / 2


def poly(progress: float) -> float:
    """From 1 to 0 by the power 0.9.

    Reference: Chen et al. 2017, "DeepLab", section 4.1 ("poly" learning rate policy).
    """
    return max(0.0, 1 - progress) ** 0.9


def constant(progress: float) -> float:  # noqa: ARG001
    """1 throughout."""
    return 1.0


def one_cycle(progress: float) -> float:
    """From 0.04 to 1 in the first 30 %, then to 0, both along half a cosine.

    Reference: Smith and Topin 2018, "Super-Convergence".
    """
    if progress < _ONE_CYCLE_RISES:
        low, share = _ONE_CYCLE_STARTS, 1 - progress / _ONE_CYCLE_RISES
    else:
        low, share = 0.0, (progress - _ONE_CYCLE_RISES) / (1 - _ONE_CYCLE_RISES)
    return low + (1 - low) * (1 + math.cos(math.pi * share)) / 2


SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": cosine,
    "poly": poly,
    "constant": constant,
    "one_cycle": one_cycle,
}
