"""What steps keep in memory at a time, for those who judge whether a machine has it."""

from collections.abc import Sequence
from pathlib import Path

from seglib.errors import SegError

CACHED_BYTES = 4 * 2**30  # of decoded training pairs, at most
PREFETCHED_BATCHES = 8
PAIRS_AUGMENTED_AT_ONCE = 16

_LOGIT_BYTES = 8  # measured: each float32 is there twice when a prediction ends
_MEMORY, _CONTAINER = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


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
