"""Which number format trains fastest here, with or without XLA: a timed trial.

bfloat16 keeps the exponent of float32 and 8 bits of precision, so that it needs no loss
scaling, as float16 does; weights and their updates stay float32.

Reference: Kalamkar et al. 2019, "A Study of BFLOAT16 for Deep Learning Training",
arXiv:1905.12322; Micikevicius et al. 2018, "Mixed Precision Training",
arXiv:1710.03740 (float32 weights, loss scaling).
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras

from seglib.config import TrainConfig
from seglib.errors import UsageError
from seglib.hardware import half_format, has_gpu, has_op_determinism

logger = logging.getLogger(__name__)

_FEWEST_STEPS = 1000  # below, no trial: its compilations were measured to cost more
_LEAST_TIMED, _MOST_TIMED = 3, 10  # steps
_MOST_FASTER = 4  # of candidates; XLA made the network `compact` 3.7 times as fast
_XLA_COMPILES_LONGER = 3  # 40 s against 13 s, on the same GPU


@dataclass(frozen=True)
class Numerics:
    """How the steps of a training compute; decides speed and rounding."""

    precision: str = "float32"
    xla: bool = False
    parts: int = 1  # of a batch, whose gradients are accumulated

    def __str__(self) -> str:
        text = f"{self.precision} with XLA" if self.xla else self.precision
        return f"{text}, batches in {self.parts} parts" if self.parts > 1 else text


@dataclass(frozen=True)
class Timing:
    """How long one candidate took, in seconds."""

    compile_s: float  # its first step
    step_s: float  # the fastest of those after it


def candidates(
    config: TrainConfig, *, own_layers: bool, processes: int
) -> list[Numerics]:
    """The number formats and compilers that the settings and the device allow.

    A format of 16 bits is one only where the processor multiplies it natively;
    elsewhere it is emulated, several times slower. Where both it and XLA are possible,
    it comes with XLA alone, and float32 without: on an H200 the other two pairs won
    nothing, for a minute of compilation.

    Args:
        own_layers: the network is of the user's layers, which choose their formats.
        processes: that share a batch.

    Returns:
        At least one; the plainest first.

    Raises:
        UsageError: XLA is asked for where it cannot be.
    """
    precisions: list[str] = [config.precision]
    if config.precision == "auto":
        half = "" if own_layers else half_format()
        precisions = ["float32", half] if half else ["float32"]
    obstacle = xla_obstacle(processes)
    if obstacle and config.xla == "always":
        raise UsageError(
            f"`xla` cannot be `always` {obstacle}. Expected: auto or never."
        )
    if obstacle or config.xla == "never":
        xla = [False]
    elif config.xla == "always" or keras.backend.backend() != "tensorflow":
        xla = [True]  # the other backends are built on it
    else:
        xla = [False, True]
    parts = config.accumulate
    allowed = [Numerics(name, each, parts) for each in xla for name in precisions]
    return [allowed[0], allowed[-1]] if len(allowed) > 2 else allowed


def xla_obstacle(processes: int) -> str:
    """Why XLA cannot compile a training here; "" where it can.

    TensorFlow's own kernels for CPUs were measured 1.8 to 3.5 times as fast as XLA,
    and the networks use one that XLA does not know (`Upsample`).
    """
    if keras.backend.backend() == "tensorflow" and not has_gpu():
        return "without a GPU"
    if processes > 1:  # their sums are not possible within XLA's graphs
        return f"where {processes} processes share a batch"
    if has_op_determinism():  # Keras switches XLA off
        return "while TensorFlow's op determinism is on"
    return ""


def choose_numerics(
    allowed: list[Numerics],
    measure: Callable[[Numerics], Timing],
    steps: int,
    *,
    limit_s: float = 0.0,
) -> Numerics:
    """Time the candidates and choose the fastest.

    A candidate that fails is left out, and the log says why.

    Args:
        measure: trains a few steps with a candidate.
        steps: of the whole training; below 1000 nothing is tried.
        limit_s: seconds after which the training ends at the latest; 0: never.

    Raises:
        Exception: of the first candidate, where all of them fail.
    """
    if len(allowed) == 1 or steps < _FEWEST_STEPS:
        return allowed[0]
    timings: dict[Numerics, Timing] = {}
    first_error: Exception | None = None
    for candidate in allowed:
        if timings and not is_worth_trying(candidate, timings, steps):
            logger.info("%s: not tried, it cannot win back its compilation", candidate)
            continue
        try:
            timing = timings[candidate] = measure(candidate)
        except Exception as error:  # noqa: BLE001 (a compiler's own kinds)
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            logger.warning("%s: left out, it fails here (%.300s)", candidate, reason)
            first_error = first_error or error
            continue
        step_ms, first_s = 1000 * timing.step_s, timing.compile_s
        logger.info("%s: %.1f ms a step, the first %.1f s", candidate, step_ms, first_s)
        if limit_s:
            steps = min(steps, int(limit_s / timing.step_s))
    if not timings and first_error:
        raise first_error
    return min(timings, key=lambda candidate: timings[candidate].step_s)


def restored(facts: Mapping[str, Any], processes: int) -> Numerics:
    """The numerics of an interrupted training; without XLA where it cannot be used.

    (Such a training was begun by another number of processes.)
    """
    numerics = Numerics(**facts)
    return replace(numerics, xla=False) if xla_obstacle(processes) else numerics


def is_worth_trying(
    candidate: Numerics, timings: Mapping[Numerics, Timing], steps: int
) -> bool:
    """Whether a candidate can save more time than its compilation costs.

    Args:
        timings: of the candidates before it.
    """
    known = [timing for other, timing in timings.items() if other.xla == candidate.xla]
    some = next(iter(timings.values()))
    compile_s = known[0].compile_s if known else _XLA_COMPILES_LONGER * some.compile_s
    best_s = min(timing.step_s for timing in timings.values())
    return compile_s < steps * best_s * (1 - 1 / _MOST_FASTER)


def time_steps(step: Callable[[], None]) -> Timing:
    """Take a step several times, for a second or so."""
    durations: list[float] = []
    while len(durations) <= _LEAST_TIMED or (
        len(durations) <= _MOST_TIMED and sum(durations[1:]) < 1
    ):
        started = time.perf_counter()
        step()
        durations.append(time.perf_counter() - started)
    return Timing(compile_s=durations[0], step_s=min(durations[1:]))
