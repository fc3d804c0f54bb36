"""Threads that look at files; where there are very many, processes behind them.

Decoding runs beside Python in threads, but small files spend most of their time in
Python. A process takes half a second to start, so few files are left to threads.
"""

import os
import pickle
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO, cast

from seglib.data.tree import LOCAL
from seglib.data.verification.facts_cache import FactsCache
from seglib.data.verification.reading import Files, Job, Look
from seglib.errors import SegError

_MAX_THREADS = 16  # each holds a decoded image
_MANY_FILES = 20_000  # from which on processes pay
_START = "from seglib.data.verification.workers import serve; serve()"


def look_at_all(
    files: Files, jobs: Iterable[Sequence[Job]], *, count: int
) -> Iterator[list[Look]]:
    """Look at all files, some at once; the results come in the order of the jobs.

    Args:
        files: that are looked at.
        jobs: those that a thread is handed together.
        count: of all files.
    """
    threads = min(_MAX_THREADS, files.tree.threads)
    many = count >= _MANY_FILES and threads > 1 and files.tree is LOCAL
    workers = [_Worker(fresh=files.fresh) for _ in range(threads)] if many else []
    idle: SimpleQueue[_Worker] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def ask(some: Sequence[Job]) -> list[Look]:
        worker = idle.get()
        try:
            return worker.look(some)
        finally:
            idle.put(worker)

    look: Callable[[Sequence[Job]], list[Look]] = ask if many else files.look
    pool = ThreadPoolExecutor(threads)
    under_way: deque[Future[list[Look]]] = deque()
    try:
        for some in jobs:
            under_way.append(pool.submit(look, some))
            if len(under_way) > 2 * threads:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for what is queued
        for worker in workers:
            worker.close()


class _Worker:
    """A process that looks at files, and ends with the one that started it."""

    def __init__(self, *, fresh: bool):
        # Not `multiprocessing`, which would run a user's script once more. -P: nothing
        # is imported from the folder that the user is in.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, *["fresh"][:fresh]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._asked = cast(BinaryIO, self._process.stdin)
        self._told = cast(BinaryIO, self._process.stdout)

    def look(self, jobs: Sequence[Job]) -> list[Look]:
        """See `Files.look`."""
        try:
            pickle.dump([(str(path), role) for path, role in jobs], self._asked)
            self._asked.flush()
            found: list[Look] | Exception = pickle.load(self._told)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            code = self._process.wait()
            raise SegError(
                f"A process that read {len(jobs)} files, {jobs[0][0]} first, ended "
                f"with status {code} (-9: perhaps for want of memory). Verify again: "
                "what was found is cached."
            ) from error
        if isinstance(found, Exception):
            raise found
        return found

    def close(self) -> None:
        """End it after its files."""
        for pipe in (self._asked, self._told):
            with suppress(OSError):  # it has ended before
                pipe.close()
        self._process.wait()


def serve() -> None:
    """Look at the files that standard input names, until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is its starter's
    answers: BinaryIO = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed does not mix with the answers
    files = Files(LOCAL, FactsCache(), fresh="fresh" in sys.argv)
    while True:
        try:
            jobs = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            found: object = files.look([(Path(path), role) for path, role in jobs])
        except Exception as error:  # noqa: BLE001 - the starter raises it
            found = error
        try:
            pickle.dump(found, answers)
            answers.flush()
        except BrokenPipeError:
            return
