"""Images, limits, retries, timeouts and users of pods: P120, P160 … P164."""

import re
from collections.abc import Iterator

from pipeline.preflight.findings import Finding
from pipeline.preflight.pod import DEFAULT_SHM_BYTES, SHM, Pod
from seglib.environment import CHECKPOINTS

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


def check_pods(pods: list[Pod]) -> Iterator[Finding]:
    """Check what the cluster file and the options of `compile` can get wrong."""
    yield from _check_images(pods)
    for pod in pods:
        if missing := [
            name
            for name, limit in (("CPU", pod.cpu_limit), ("memory", pod.memory_limit))
            if limit is None
        ]:
            what = f"it has no limit of {' and '.join(missing)}"
            yield Finding("P160", pod.where, what)
        if pod.gpus and pod.shm_bytes <= DEFAULT_SHM_BYTES:
            what = f"it has {pod.gpus} GPU(s) and no volume at {SHM}"
            yield Finding("P161", pod.where, what)
        if not pod.retries and pod.step == "train" and _keeps_checkpoints(pod):
            what = f"{CHECKPOINTS} is set, and `retries` is 0"
            yield Finding("P162", pod.where, what)
        if not int(pod.settings.get("activeDeadlineSeconds", 0)):
            yield Finding("P163", pod.where, "it has no timeout")
        if not int(pod.settings.get("securityContext", {}).get("runAsUser", 0)):
            yield Finding("P164", pod.where, "its user is 0")


def _check_images(pods: list[Pod]) -> Iterator[Finding]:
    executors: dict[str, list[str]] = {}
    for pod in pods:
        executors.setdefault(pod.image, []).append(pod.executor)
    for image, names in executors.items():
        if _DIGEST.search(image):
            continue
        if "@" in image:
            what = f"{image} has a malformed digest"
        else:
            is_tagged = ":" in image.rpartition("/")[2]
            what = f"{image} has {'a tag' if is_tagged else 'neither tag nor digest'}"
        yield Finding("P120", f"executors {', '.join(sorted(names))}", what)


def _keeps_checkpoints(pod: Pod) -> bool:
    sources = (*pod.entries("configMapAsEnv"), *pod.entries("secretAsEnv"))
    names = (
        pair.get("envVar", "") for one in sources for pair in one.get("keyToEnv", ())
    )
    return bool(pod.env.get(CHECKPOINTS)) or CHECKPOINTS in names
