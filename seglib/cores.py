"""What this machine has: cores, and whether a GPU; importing this is cheap."""

import math
import os
from pathlib import Path


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


def tensorflow_log_level(devices: Path = Path("/dev")) -> str:
    """What TF_CPP_MIN_LOG_LEVEL should be: 2 leaves out all but errors.

    Without a GPU it is 3: TensorFlow logs an error there each time that it finds none
    (cuInit), though nothing is wrong, and its real errors are exceptions as well.
    """
    names = ("nvidia*", "kfd", "dxg")  # CUDA, ROCm, Windows' subsystem for Linux
    has_gpu = any(path for name in names for path in devices.glob(name))
    return "2" if has_gpu else "3"
