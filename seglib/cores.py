"""How many cores this process may use; importing this is cheap."""

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
