"""A pipeline of seconds, whose one step does what it is told to, under an exit task."""

from pathlib import Path

from kfp import compiler, dsl

from components.base import component
from pipeline.dag.executor import in_image

LIMIT = "512M"  # of the step's memory
RETRIES = 2  # asked for; what is repeated is Argo's choice
MARK = "probe:"  # begins the lines that the step prints itself
NO_ROOM = "1000"  # CPU cores that no node has


@component
def work(behaviour: str, seconds: float, salt: str) -> str:
    """Print, and then succeed, fail or take too much memory.

    Args:
        behaviour: succeed, fail or oom.
        seconds: to take.
        salt: tells apart what is not to come from the cache.
    """
    import os
    import sys
    import time

    print(f"probe: {behaviour} {salt} begins", flush=True)
    for name in sorted(os.environ):
        if name.startswith("SEGLIB_"):
            print(f"probe: variable {name}={os.environ[name][:6]}", flush=True)
    until = time.time() + seconds
    while time.time() < until:
        time.sleep(0.5)
    if behaviour == "oom":
        kept = []
        while True:
            kept.append(bytearray(b"x" * 50_000_000))
    if behaviour == "fail":
        sys.exit(3)
    print(f"probe: {behaviour} {salt} ends", flush=True)
    return salt


@component
def report(status: dsl.PipelineTaskFinalStatus) -> None:
    """The exit task."""
    print(f"probe: the exit task was told {status.state}", flush=True)


def compile_probe(path: Path, *, image: str, cpu: str = "") -> None:
    """Write the compiled pipeline.

    Args:
        cpu: cores that the step asks for; more than there are: it waits for ever.
    """

    @dsl.pipeline(name="seglib-acceptance")
    def pipeline(behaviour: str, seconds: float = 0.0, salt: str = "") -> None:
        last = report()
        in_image(last, image)
        last.set_caching_options(enable_caching=False)
        with dsl.ExitHandler(last):
            task = work(behaviour=behaviour, seconds=seconds, salt=salt)
            in_image(task, image)
            task.set_memory_limit(LIMIT)
            task.set_retry(RETRIES, backoff_duration="5s", backoff_max_duration="3600s")
            if cpu:
                task.set_cpu_request(cpu)

    compiler.Compiler().compile(pipeline, str(path))
