"""Whether memory, shared memory and disk suffice for the dataset: P170 … P172."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from pipeline.dag.quantities import quantity, readable
from pipeline.preflight.checks.dataset_size import DatasetSize
from pipeline.preflight.checks.estimates import (
    Need,
    RunSettings,
    batch_bytes,
    disk_needs,
    memory_needs,
)
from pipeline.preflight.findings import Finding
from pipeline.preflight.pod import Pod
from seglib.environment import CACHE

_DEFAULT_CACHE = "/tmp/.cache"  # of the image


def check_sizes(
    pods: list[Pod], size: DatasetSize, settings: RunSettings
) -> Iterator[Finding]:
    """Compare the limits of pods with the lower bounds that the dataset gives."""
    memory, disk = memory_needs(size, settings), disk_needs(size)
    batches = batch_bytes(size, settings)
    for pod in pods:
        if need := memory.get(pod.step):
            yield from _check_memory(pod, need)
        if need := disk.get(pod.step):
            yield from _check_disk(pod, need)
        if pod.step == "train" and pod.gpus and pod.shm_bytes < batches:
            what = (
                f"/dev/shm has {readable(pod.shm_bytes)}, the prefetched batches take "
                f"{readable(batches)}"
            )
            yield Finding("P171", pod.where, what)


def _check_memory(pod: Pod, need: Need) -> Iterator[Finding]:
    limit = pod.memory_limit
    if limit is not None and limit < need.size_bytes:
        what = (
            f"its limit is {readable(limit)}, and it needs at least "
            f"{readable(need.size_bytes)}: {need.because}"
        )
        yield Finding("P170", pod.where, what)


def _check_disk(pod: Pod, need: Need) -> Iterator[Finding]:
    cache = PurePosixPath(pod.env.get(CACHE) or _DEFAULT_CACHE)
    volumes = {
        mount.get("mountPath", ""): quantity(mount.get("sizeLimit", ""))
        for mount in (*pod.entries("emptyDirMounts"), *pod.entries("pvcMount"))
    }
    around = [path for path in volumes if path and cache.is_relative_to(path)]
    volume = max(around, key=len, default="")
    room = volumes.get(volume)
    if room is not None and room < need.size_bytes:
        what = (
            f"it has {readable(room)}, and the cache needs at least "
            f"{readable(need.size_bytes)}: {need.because}"
        )
        yield Finding("P172", f"{pod.where}, volume {volume}", what)
