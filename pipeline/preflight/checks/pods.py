"""What a pod may take, and as whom: P160 … P166."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.dag.quantities import attempts_s
from pipeline.preflight.document import Document, Step
from pipeline.preflight.findings import Finding
from pipeline.preflight.quantities import quantity

SHM = "/dev/shm"
_DEFAULT_SHM = 64 * 2**20


def check_pods(document: Document) -> Iterator[Finding]:
    """Limits, shared memory, retries, timeouts and users of all steps."""
    for step in document.steps():
        yield from _check_limits(step)
        if not step.is_readable:
            continue
        if step.gpus and shm_bytes(step) <= _DEFAULT_SHM:
            what = f"it asks for {step.gpus} and mounts nothing at {SHM}"
            yield Finding(code="P161", where=step.where, what=what)
        yield from _check_retries(document, step)
        if not _timeout_s(step) and not document.pipeline_deadline_s:
            yield Finding(code="P163", where=step.where, what="it may run for ever")
        yield from _check_deadline(document, step)
        yield from _check_user(step)


def shm_bytes(step: Step) -> float:
    """The size of /dev/shm: without a limit, what the memory allows."""
    shared = step.kubernetes.get("enabledSharedMemory")
    if shared is not None:
        return quantity(shared.get("size", "")) or memory_limit(step)
    for mount in step.all("emptyDirMounts"):
        if mount.get("mountPath", "").rstrip("/") == SHM:
            return quantity(mount.get("sizeLimit", "")) or memory_limit(step)
    return _DEFAULT_SHM


def memory_limit(step: Step) -> float:
    """Bytes; infinite without a limit, or where it is a parameter."""
    text = step.resources.get("resourceMemoryLimit", "")
    if text:
        return quantity(text) or float("inf")
    # SDKs before 2.8 wrote numbers, in units of 10⁹ bytes.
    return float(step.resources.get("memoryLimit", 0)) * 1e9 or float("inf")


def _check_limits(step: Step) -> Iterator[Finding]:
    given = step.resources
    missing = [
        name
        for name, keys in {
            "CPU limit": ("resourceCpuLimit", "cpuLimit"),
            "memory limit": ("resourceMemoryLimit", "memoryLimit"),
        }.items()
        if not any(given.get(key) for key in keys)
    ]
    if missing:
        what = f"it has no {' and no '.join(missing)}"
        yield Finding(code="P160", where=step.where, what=what)


def _check_retries(document: Document, step: Step) -> Iterator[Finding]:
    kept = _state(step)
    retries = [
        int(task.spec.get("retryPolicy", {}).get("maxRetryCount", 0))
        for task in document.tasks_of(step)
    ]
    if kept and not all(retries):
        what = f"{kept} says that it keeps its state, and it has no retries"
        yield Finding(code="P162", where=step.where, what=what)


def _check_deadline(document: Document, step: Step) -> Iterator[Finding]:
    for task in document.tasks_of(step):
        policy = task.spec.get("retryPolicy", {})
        retries = int(policy.get("maxRetryCount", 0))
        needed = attempts_s(
            retries,
            timeout_s=_timeout_s(step),
            pause_s=_seconds(policy, "backoffDuration"),
            factor=float(policy.get("backoffFactor", 2.0)),
        )
        given = _seconds(policy, "backoffMaxDuration")
        if retries and given < needed:
            what = f"all attempts end {given:g} s after the start of the first one"
            if _timeout_s(step):
                what += f", and {retries + 1} of them with their pauses take {needed} s"
            yield Finding(code="P166", where=task.where, what=what)


def _timeout_s(step: Step) -> int:
    return int(step.kubernetes.get("activeDeadlineSeconds", 0))


def _seconds(policy: Mapping[str, Any], name: str) -> float:
    """A duration as protobuf writes it: "3600s", "1.5s"."""
    return float(str(policy.get(name, "0s")).removesuffix("s"))


def _state(step: Step) -> str:
    """The variable that names a place for checkpoints; "" if there is none."""
    names = [name for name, value in step.env.items() if value]
    for source in (*step.all("configMapAsEnv"), *step.all("secretAsEnv")):
        names += [pair.get("envVar", "") for pair in source.get("keyToEnv", ())]
    return next((name for name in names if "CHECKPOINT" in name.upper()), "")


def _check_user(step: Step) -> Iterator[Finding]:
    context = step.kubernetes.get("securityContext", {})
    user = context.get("runAsUser")
    if user is not None and int(user) == 0:
        yield Finding(code="P164", where=step.where, what="its user is 0")
    elif not context.get("runAsNonRoot") and user is None:
        yield Finding(
            code="P165", where=step.where, what="it has no run_as_non_root and no user"
        )
