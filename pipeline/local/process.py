"""The local runner's process: its lines as they come, and nothing of it left behind."""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, cast

_TICK_S = 0.1
_GRACE_S = 10.0  # for the steps to end by themselves once they are told to


class Stopped(KeyboardInterrupt):
    """The process was told to end by SIGTERM; a Ctrl-C without a keyboard."""


class RunnerProcess:
    """`python -m pipeline.local.runner`, in a session of its own."""

    def __init__(self, request_file: Path, *, environment: Mapping[str, str]):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.local.runner", str(request_file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
        )
        self._pipe = cast(IO[bytes], self._process.stdout)

    def lines(self) -> Iterator[str]:
        """What it prints, line by line; "" where a tick passed without a line."""
        rest = b""
        with selectors.DefaultSelector() as selector, self._pipe:
            selector.register(self._pipe, selectors.EVENT_READ)
            while True:
                if not selector.select(_TICK_S):
                    yield ""
                    continue
                chunk = os.read(self._pipe.fileno(), 65536)
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (line.decode(errors="replace") + "\n" for line in lines)
                if not chunk:
                    yield rest.decode(errors="replace")
                    return

    def wait(self) -> int:
        """The exit status."""
        return self._process.wait()

    def stop(self) -> None:
        """End it and all that it started: asked first, forced after a while."""
        if self._process.poll() is not None:
            return
        group = self._process.pid
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            os.killpg(group, signal.SIGTERM)
            deadline = time.monotonic() + _GRACE_S
            while time.monotonic() < deadline:
                self._process.poll()  # or it stays in the group
                os.killpg(group, 0)  # the runner ends at once, a training after a step
                time.sleep(_TICK_S)
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            pass  # all of it has ended
        finally:
            self._process.wait()
            signal.signal(signal.SIGINT, previous)


@contextmanager
def termination_as_exception() -> Iterator[None]:
    """Within it, SIGTERM raises `Stopped`, as Ctrl-C raises KeyboardInterrupt."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Stopped

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
