"""Whether memory, shared memory and disk of our own steps are enough: P170 … P172.

Only these steps are known: what other components do with a dataset, nobody can tell.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from pipeline.preflight.checks.dataset_size import DatasetSize
from pipeline.preflight.checks.estimates import (
    Need,
    batch_bytes,
    disk_needs,
    memory_needs,
    settings_of,
)
from pipeline.preflight.checks.pods import memory_limit, shm_bytes
from pipeline.preflight.document import Document, Step
from pipeline.preflight.findings import Finding
from pipeline.preflight.quantities import quantity, readable

_STEP = re.compile(r"(verify-data|(?:augment|train|evaluate|gate|export)-\w+)(-\d+)?")
_IMAGE_HOME = "/tmp"  # of the image; its cache lies below


def check_sizes(document: Document, size: DatasetSize) -> Iterator[Finding]:
    """Compare what pods may take with what the dataset needs."""
    settings = settings_of(document.defaults, size)
    memory, disk = memory_needs(size, settings), disk_needs(size)
    batches = batch_bytes(size, settings)
    for step in document.steps():
        match = _STEP.fullmatch(step.name)
        if not match:
            continue
        name = match[1].partition("-")[0]
        if need := memory.get(name):
            yield from _check_memory(step, need)
        if need := disk.get(name):
            yield from _check_disk(step, need)
        if name == "train" and step.gpus and shm_bytes(step) < batches:
            yield Finding(
                code="P171",
                where=step.where,
                what=f"/dev/shm has {readable(shm_bytes(step))}, the prefetched "
                f"batches take {readable(batches)}",
            )


def _check_memory(step: Step, need: Need) -> Iterator[Finding]:
    limit = memory_limit(step)
    if limit < need.size_bytes:
        yield Finding(
            code="P170",
            where=step.where,
            what=f"its limit is {readable(limit)}, and it needs at least "
            f"{readable(need.size_bytes)}: {need.because}",
        )


def _check_disk(step: Step, need: Need) -> Iterator[Finding]:
    cache = PurePosixPath(step.env.get("SEGLIB_CACHE") or f"{_IMAGE_HOME}/.cache")
    volume, room = _volume(step, cache)
    if room is not None and room < need.size_bytes:
        yield Finding(
            code="P172",
            where=f"{step.where}, volume {volume}",
            what=f"it has {readable(room)}, and the cache needs at least "
            f"{readable(need.size_bytes)}: {need.because}",
        )


def _volume(step: Step, path: PurePosixPath) -> tuple[str, float | None]:
    """The mount that a path lies in, and its size; None where that is not known."""
    mounts: list[tuple[str, Mapping[str, str], str]] = [
        (mount.get("mountPath", ""), mount, size)
        for kind, size in (
            ("emptyDirMounts", "sizeLimit"),
            ("genericEphemeralVolume", "size"),
            ("pvcMount", ""),
        )
        for mount in step.all(kind)
    ]
    above = [m for m in mounts if path.is_relative_to(m[0] or "/none")]
    if not above:
        return "", None
    place, mount, size = max(above, key=lambda m: len(m[0]))
    return place, quantity(mount.get(size, "")) if size else None
