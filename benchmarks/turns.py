"""Processes that prepare beside one another, and of which one at a time is timed.

Such a process prints JSON objects, a line each. One with `"ready": true` says that all
is compiled: the process then waits for a line on its standard input. While it is timed,
the others are stopped.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_LONGEST_TIMED_S = 60
_NAMED_LINES = 2  # of what a process that failed said last

OnFacts = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True)
class Job:
    """A process to run."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    expected_s: float  # it is not begun with less time left


def run_in_turns(
    jobs: Sequence[Job],
    *,
    slots: int,
    ends: float,
    on_facts: OnFacts,
) -> dict[str, str]:
    """Run processes, in order.

    Args:
        slots: processes that prepare at the same time.
        ends: `time.monotonic()` at which all that still run are killed.
        on_facts: gets a job's name and each object that it prints. The one that says
            it is ready gets `prepared_s`, without the time that it was stopped.

    Returns:
        The names of those that did not end well, with the reason.
    """
    turns = _Turns(jobs, slots, ends, on_facts)
    try:
        while (turns.waiting or turns.running) and time.monotonic() < ends:
            turns.begin()
            turns.hear()
    finally:
        turns.end()
    return turns.failures


class _Turns:
    """Who waits, runs, is ready, and is timed."""

    def __init__(self, jobs: Sequence[Job], slots: int, ends: float, on_facts: OnFacts):
        self._slots, self._ends, self._on_facts = slots, ends, on_facts
        self._events: queue.Queue[tuple[_Process, str | None]] = queue.Queue()
        self._ready = deque[_Process]()
        self._timed: _Process | None = None
        self.waiting, self.running = deque(jobs), list[_Process]()
        self.failures: dict[str, str] = {}

    def begin(self) -> None:
        """Begin processes as long as there are slots, and the next timing."""
        if self._timed:
            if time.monotonic() > self._timed.timed_from + _LONGEST_TIMED_S:
                self._timed.signal(signal.SIGKILL)
            return
        preparing = sum(not process.is_ready for process in self.running)
        while self.waiting and preparing < self._slots:
            job = self.waiting.popleft()
            if time.monotonic() + job.expected_s > self._ends:
                self.failures[job.name] = "not begun: the time was short"
                continue
            self.running.append(_Process(job, self._events))
            preparing += 1
        if self._ready:
            self._timed = self._ready.popleft()
            self._timed.time_alone(self.running)

    def hear(self) -> None:
        """Take one line of a process, or its end."""
        try:
            process, line = self._events.get(timeout=0.1)
        except queue.Empty:
            return
        if line is None:
            self._remove(process)
        elif line.startswith("{"):
            facts = json.loads(line)
            if facts.pop("ready", False):
                process.is_ready = True
                self._ready.append(process)
                facts["prepared_s"] = process.running_s
            self._on_facts(process.name, facts)
        else:
            process.said.append(line[:300])

    def end(self) -> None:
        """Kill what still runs."""
        for process in self.running:
            process.signal(signal.SIGKILL)
            process.join()
            self.failures[process.name] = "not finished: the time was short"
        for job in self.waiting:
            self.failures[job.name] = "not begun: the time was short"

    def _remove(self, process: "_Process") -> None:
        self.running.remove(process)
        if process.join():
            self.failures[process.name] = " | ".join(process.said) or "no message"
        if process in self._ready:
            self._ready.remove(process)
        if process is self._timed:
            process.let_go_on(self.running)
            self._timed = None


class _Process:
    """A running job; it leads a process group of its own."""

    def __init__(self, job: Job, events: queue.Queue[Any]):
        self.name, self.is_ready, self.stopped_s = job.name, False, 0.0
        self.said = deque[str](maxlen=_NAMED_LINES)
        self.started = time.monotonic()
        self.timed_from = float("inf")
        self.popen = subprocess.Popen(
            job.command,
            env=dict(job.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(events,))
        self._reader.start()

    @property
    def running_s(self) -> float:
        """Since it was started, without the time that it was stopped."""
        return time.monotonic() - self.started - self.stopped_s

    def time_alone(self, running: Sequence["_Process"]) -> None:
        """Stop the others, and let this one go on."""
        self.timed_from = time.monotonic()
        for other in running:
            if other is not self:
                other.signal(signal.SIGSTOP)
        with contextlib.suppress(BrokenPipeError):  # its end is the next event
            self.popen.stdin.write("go\n")
            self.popen.stdin.flush()

    def let_go_on(self, running: Sequence["_Process"]) -> None:
        """Let the others go on."""
        for other in running:
            other.stopped_s += time.monotonic() - self.timed_from
            other.signal(signal.SIGCONT)

    def join(self) -> int:
        """Wait for its end; gives its exit status."""
        self._reader.join()
        with contextlib.suppress(BrokenPipeError):
            self.popen.stdin.close()
        return self.popen.wait()

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, number)

    def _read(self, events: queue.Queue[Any]) -> None:
        with self.popen.stdout:
            for line in self.popen.stdout:
                events.put((self, line.rstrip()))
        events.put((self, None))
