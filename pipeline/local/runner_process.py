"""The local runner's process: what it prints, and nothing of it left behind."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, cast

from seglib.noise import is_noise

_TICK_S = 0.1
_GRACE_S = 10.0  # for the steps to end by themselves once they are told to

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_STARTED = re.compile(r"Executing task '([\w-]+)'$")
_CACHED = re.compile(r"Task ([\w-]+) cache hit ")
_ENDED = re.compile(r"Task '([\w-]+)' finished with status (\w+)$")
_TRACEBACK = "Traceback (most recent call last):"
_INDENT = "    "  # KFP's, of everything that a task prints
_EXECUTOR = "[KFP Executor "


class Stopped(KeyboardInterrupt):
    """The process was told to end by SIGTERM; a Ctrl-C without a keyboard."""


@contextmanager
def runner_process(
    request_file: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python -m pipeline.local.runner`, in a session of its own.

    Within it, SIGTERM raises `Stopped`, as Ctrl-C raises KeyboardInterrupt. At its end
    nothing of the runner is left.
    """

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Stopped

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.local.runner", str(request_file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
        )
        try:
            yield process
        finally:
            _stop(process)
    finally:
        signal.signal(signal.SIGTERM, previous)


def lines_of(process: subprocess.Popen[bytes]) -> Iterator[str]:
    """What it prints, line by line; "" where a tick passed without a line."""
    rest = b""
    with cast(IO[bytes], process.stdout) as pipe:
        while True:
            if not select.select([pipe], [], [], _TICK_S)[0]:
                yield ""
                continue
            chunk = os.read(pipe.fileno(), 65536)
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line.decode(errors="replace") + "\n" for line in lines)
            if not chunk:
                yield rest.decode(errors="replace")
                return


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End it and all that it started: asked first, forced after a while."""
    if process.poll() is not None:
        return
    group = process.pid
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        os.killpg(group, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_S
        while time.monotonic() < deadline:
            process.poll()  # or it stays in the group
            os.killpg(group, 0)  # the runner ends at once, a training after a step
            time.sleep(_TICK_S)
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass  # all of it has ended
    finally:
        process.wait()
        signal.signal(signal.SIGINT, previous)


@dataclass(frozen=True)
class RunnerEvent:
    """Something that happened to a step.

    kind: started, cached, succeeded or failed; printed, a line; or muttered, a line
    that only the log needs.
    """

    kind: str
    step: str
    text: str = ""


class RunnerOutput:
    """Finds the events in the lines that KFP's local runner prints."""

    def __init__(self) -> None:
        self._step = ""
        self._in_dump = False  # of the executor's input
        self._deeper = ""  # KFP's indent grows by what ran at the same time
        self._in_traceback = False

    def read(self, line: str) -> RunnerEvent | None:
        """The event that a line tells, if any."""
        line = _COLOUR.sub("", line.rstrip("\n"))
        if found := _CACHED.match(line):
            return RunnerEvent("cached", _step_name(found[1]))
        if found := _STARTED.search(line):
            self._step = _step_name(found[1])
            return RunnerEvent("started", self._step)
        if found := _ENDED.search(line):
            ended, self._step = _step_name(found[1]), ""
            kind = "succeeded" if found[2] == "SUCCESS" else "failed"
            return RunnerEvent(kind, ended)
        if self._step and line.startswith(_INDENT):
            return self._read_printed(line.removeprefix(_INDENT))
        return None

    def _read_printed(self, text: str) -> RunnerEvent | None:
        if text.lstrip().startswith(_EXECUTOR):
            self._deeper = text[: len(text) - len(text.lstrip())]
            self._in_dump = text.endswith("executor_input:")
            return None
        text = text.removeprefix(self._deeper)
        if self._in_dump:
            self._in_dump = text != "}"
            return None
        if text.startswith(_TRACEBACK):
            self._in_traceback = True
        elif self._in_traceback and not text.startswith(" "):
            self._in_traceback = False  # with the exception's own line
            return RunnerEvent("muttered", self._step, text)
        if self._in_traceback or is_noise(text) or not text.strip():
            return None
        return RunnerEvent("printed", self._step, text)


def _step_name(task: str) -> str:
    """verify-data → verify."""
    return task.partition("-")[0]
