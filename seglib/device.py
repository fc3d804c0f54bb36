"""What the machine under the backend can do."""

import ctypes
import sys
from pathlib import Path

import keras

# Of glibc's mallopt (malloc.h).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


def has_gpu() -> bool:
    """Whether the backend sees a GPU."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))
    return any("gpu" in device or "cuda" in device for device in _jax_devices())


def has_op_determinism() -> bool:
    """Whether TensorFlow runs only operations whose results repeat bit for bit."""
    if keras.backend.backend() != "tensorflow":
        return False
    # It has no public name; Keras reads it at the same place.
    from tensorflow.python.framework.config import is_op_determinism_enabled

    return bool(is_op_determinism_enabled())


def keep_freed_memory() -> None:
    """Let glibc keep the memory of freed tensors instead of returning it each step.

    A training step frees and asks again for the same hundreds of megabytes; having
    the kernel hand them out anew, zeroed page by page, costs up to a fifth of the CPU
    time (benchmarks/training_step.py). Elsewhere than on glibc this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_TOP_PAD, 64 * 2**20)


def has_native_bfloat16() -> bool:
    """Whether products of bfloat16 run in hardware rather than emulated."""
    if has_gpu():
        return True
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _jax_devices() -> list[str]:
    return keras.distribution.list_devices()
