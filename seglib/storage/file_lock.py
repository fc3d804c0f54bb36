"""Locks between processes, on files. A lock ends with its process, killed or not."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


def lock(file: IO[Any], *, wait: bool = True) -> None:
    """Lock an open file for this process alone, until the file is closed.

    Args:
        file: the open file; its content does not matter.
        wait: whether to wait for another process that holds the lock.

    Raises:
        BlockingIOError: another process holds it, and `wait` is False.
        OSError: the file system has no locks.
    """
    fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def file_lock(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a file, which is created if it is missing; see `lock`."""
    with path.open("a") as file:
        lock(file, wait=wait)
        yield
