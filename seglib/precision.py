"""Which number format trains fastest here: a short measurement instead of a rule."""

import logging
import time

import numpy as np

from seglib.artifact import CUSTOM
from seglib.contract import Contract
from seglib.device import has_native_bfloat16, prefers_xla
from seglib.losses import CrossEntropy
from seglib.models import build_network

logger = logging.getLogger(__name__)

# Timing both takes some ten steps and two compilations; a short training never
# earns that back.
_WORTHWHILE_STEPS = 1000
_TIMED_STEPS = 3


def choose_precision(
    asked: str, contract: Contract, batch_shape: tuple[int, int, int], total_steps: int
) -> str:
    """Resolve "auto" to "float32" or "bfloat16"; anything else is returned as it is.

    bfloat16 is tried only where the processor multiplies it natively; elsewhere it is
    emulated, several times slower. `batch_shape` is (images, height, width).
    """
    if asked != "auto":
        return asked
    own_layers = contract.architecture == CUSTOM
    if own_layers or total_steps < _WORTHWHILE_STEPS or not has_native_bfloat16():
        return "float32"
    durations = {
        precision: _step_seconds(contract, batch_shape, precision)
        for precision in ("float32", "bfloat16")
    }
    best = min(durations, key=lambda precision: durations[precision])
    logger.info(
        "precision: %s (a step takes %s)",
        best,
        ", ".join(f"{s:.2f} s in {precision}" for precision, s in durations.items()),
    )
    return best


def _step_seconds(
    contract: Contract, batch_shape: tuple[int, int, int], precision: str
) -> float:
    network = build_network(contract, precision=precision)
    network.compile("sgd", CrossEntropy(), jit_compile=prefers_xla())
    images = np.zeros((*batch_shape, contract.channels), np.uint8)
    masks = np.zeros(batch_shape, np.int32)
    network.train_on_batch(images, masks)  # compiles
    durations = []
    for _ in range(_TIMED_STEPS):
        started = time.perf_counter()
        network.train_on_batch(images, masks)
        durations.append(time.perf_counter() - started)
    return min(durations)
