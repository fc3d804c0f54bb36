"""What this machine has: cores, memory, a GPU. Importing this is cheap."""

import ctypes
import math
import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from seglib.errors import SegError
from seglib.noise import load_backend

CACHED_BYTES = 4 * 2**30  # of decoded training pairs, at most
PREFETCHED_BATCHES = 8
PAIRS_AUGMENTED_AT_ONCE = 16

_LOGIT_BYTES = 8  # measured: each float32 is there twice when a prediction ends
_NVIDIA = Path("/proc/driver/nvidia/gpus")
_MEMORY, _CONTAINER = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
# Of glibc's mallopt (malloc.h).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


def usable_cores(cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores that this process may use, by its affinity and by its container's limit.

    Args:
        cgroups: where the kernel shows a container its limits.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # Linux has it
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            texts = [(cgroups / name).read_text(encoding="utf-8") for name in names]
            quota, period = map(int, " ".join(texts).split())
        except (OSError, ValueError):
            continue  # another version of cgroups, or `max`: no limit
        if quota > 0 and period > 0:
            cores = min(cores, math.ceil(quota / period))
    return cores


def device_name(devices: Path = Path("/dev"), driver: Path = _NVIDIA) -> str:
    """The GPUs, or the cores where there are none: `NVIDIA H200`, `2 CPU cores`.

    The drivers tell it, at once; the backend, which takes seconds to load, may yet find
    that it cannot use them.

    Args:
        devices: where the kernel shows the devices.
        driver: where NVIDIA's driver shows its GPUs.
    """
    if has_gpu_driver(devices):
        files = sorted(driver.glob("*/information"))
        texts = [file.read_text(encoding="utf-8") for file in files]
        found = [re.search(r"^Model:\s*(.+)", text, re.MULTILINE) for text in texts]
        names = Counter(name[1].strip() for name in found if name)
        each = [f"{n} × {name}" if n > 1 else name for name, n in names.items()]
        return ", ".join(each) or "GPU"
    cores = usable_cores()
    return f"{cores} CPU core{'s' * (cores > 1)}"


def device_and_format(precision: str) -> str:
    """`NVIDIA H200, bfloat16`: the device, and the number format of a training there.

    Args:
        precision: as a configuration names it; a trial decides on "auto".
    """
    if precision == "auto" and has_gpu_driver():
        precision = "number format by trial"
    elif precision == "auto":
        precision = " or ".join(filter(None, ("float32", cpu_half_format())))
    return f"{device_name()}, {precision}"


def require_memory(shape: Sequence[int], num_classes: int) -> None:
    """See that the logits of images (N, H, W, C) fit into the free memory.

    Raises:
        SegError: they do not; the system would end the process.
    """
    number, height, width, *_ = shape
    needed = number * height * width * num_classes * _LOGIT_BYTES
    free = free_bytes() if needed > 1 << 28 else None
    if free is not None and needed > free:
        raise SegError(
            f"An image of {height:,}×{width:,} pixels and {num_classes} classes takes "
            f"about {needed / 1e9:.1f} GB of memory to predict. Received: "
            f"{free / 1e9:.1f} GB free. Cut it into tiles, or scale it down."
        )


def free_bytes() -> int | None:
    """Memory that is left to this process, by its machine and its container's limit.

    None where the system does not say.
    """
    free = []
    try:
        for line in _MEMORY.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                free.append(int(line.split()[1]) * 1024)
        limit = (_CONTAINER / "memory.max").read_text().strip()
        if limit.isdecimal():
            _, used, *_ = (_CONTAINER / "memory.stat").read_text().split()  # anon …
            free.append(max(0, int(limit) - int(used)))
    except OSError:
        pass  # another system, or an older kind of containers
    return min(free, default=None)


def has_gpu() -> bool:
    """Whether the backend sees a GPU."""
    import keras

    if keras.backend.backend() == "tensorflow":
        return _tensorflow_gpus() > 0
    devices: list[str] = keras.distribution.list_devices()
    return any("gpu" in device or "cuda" in device for device in devices)


def gpu_count() -> int:
    """GPUs that one process each could train on; 0 on other backends than TensorFlow.

    Without a driver TensorFlow is not imported to count them.
    """
    if not has_gpu_driver():
        return 0
    load_backend()
    import keras

    return _tensorflow_gpus() if keras.backend.backend() == "tensorflow" else 0


def _tensorflow_gpus() -> int:
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))


def has_op_determinism() -> bool:
    """Whether TensorFlow runs only operations whose results repeat bit for bit."""
    import keras

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


def half_format() -> str:
    """The 16-bit format whose products run in hardware rather than emulated, or "".

    bfloat16 where it does; GPUs before NVIDIA's Ampere (compute capability 8) have
    float16 alone, from Volta (7) on.
    """
    if has_gpu():
        major = _compute_capability()[0]
        return "bfloat16" if major >= 8 else "float16" if major >= 7 else ""
    return cpu_half_format()


def cpu_half_format() -> str:
    """That of the CPU; known without the backend."""
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    return "bfloat16" if "avx512_bf16" in flags or "amx_bf16" in flags else ""


def _compute_capability() -> tuple[int, int]:
    """Of the first GPU; that of an Ampere where the backend does not tell."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return 8, 0
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    details = tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
    major, minor = details.get("compute_capability", (8, 0))
    return major, minor


def has_gpu_driver(devices: Path = Path("/dev")) -> bool:
    """Whether there is a driver of GPUs, and this process may use one."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    names = ("nvidia*", "kfd", "dxg")  # CUDA, ROCm, Windows' subsystem for Linux
    return any(path for name in names for path in devices.glob(name))
