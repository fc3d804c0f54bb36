"""Atomic writes, and locks between processes.

A file or folder is there as a whole or not at all: content is written beside its place
under a file lock and then renamed. A lock ends with its process, killed or not, so the
next writer of the same output removes a killed writer's leftovers, also on a volume
shared by pods. On a file system without locks, nothing is removed.
"""

import fcntl
import glob
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

from seglib.errors import SegError, disk_problem

_LOCK = ".lock"


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically; if that fails, a SegError, and the older file stays."""
    write_chunks(path, [content])


def write_chunks(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file atomically from its chunks; see `write_bytes`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_alone(path.with_name(f".{path.name}.part")) as file:
            file.writelines(chunks)
            file.flush()
            Path(file.name).replace(path)
    except OSError as error:
        raise SegError(f"{path}: cannot be written ({error.strerror}).") from error


def write_text(path: Path, text: str) -> None:
    """Write a text atomically as UTF-8; lone surrogates of file names are escaped."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


@contextmanager
def whole_folder(path: Path, *, what: str, marker: str) -> Iterator[Path]:
    """Give an empty folder, and move it to its place when the body has ended.

    Args:
        path: its place.
        what: its content, for messages: "model".
        marker: a file in it. An older folder with such a file is replaced.

    Raises:
        SegError: it cannot be written, or something else is in its place. An older
            folder stays as it was.
    """
    try:
        with folder_beside(path) as beside:
            yield beside
            if path.exists():
                _replace(beside, path, what, marker)
            else:
                beside.rename(path)
    except OSError as error:
        raise SegError(f"{path}: the {what} cannot be written ({error}).") from error
    except Exception as error:
        if told := disk_problem(error):
            raise SegError(f"{path}: the {what} cannot be written: {told}") from error
        raise


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """Create an empty folder beside a place; unless renamed, it is removed at the end.

    Leftovers of killed writers of the same place are removed first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear_left(path)
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    with open_alone(beside.with_name(beside.name + _LOCK)):
        try:
            beside.mkdir()
            yield beside
        finally:
            shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def open_alone(part: Path) -> Iterator[BinaryIO]:
    """Open an empty partial file; unless renamed, it is removed at the end.

    Waits for another writer of the same file. Without locks, its name is another one.
    """
    file = _locked(part)
    try:
        yield file
    finally:
        with suppress(OSError):
            if _is_at(file, file.name):
                Path(file.name).unlink()
        with suppress(OSError):  # of a full disk, which the body has met, too
            file.close()


def lock(file: IO[Any], *, wait: bool = True) -> None:
    """Lock an open file for this process alone, until the file is closed.

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


def _locked(part: Path) -> BinaryIO:
    while True:
        file = part.open("ab")  # not emptied while it may be another's
        try:
            lock(file)
        except OSError:
            file.close()
            part.unlink(missing_ok=True)
            return part.with_name(f"{part.name}.{uuid.uuid4().hex}").open("wb")
        if _is_at(file, part):  # and not renamed or removed by whom we waited for
            file.truncate(0)
            return file
        file.close()


def _is_at(file: BinaryIO, path: str | Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), Path(path).stat())
    except FileNotFoundError:
        return False


def _clear_left(path: Path) -> None:
    """Remove the leftovers of killed writers beside a place."""
    for held in path.parent.glob(glob.escape(f".{path.name}.") + f"*.part{_LOCK}"):
        with suppress(OSError), file_lock(held, wait=False):  # fails while it is held
            left = held.with_name(held.name.removesuffix(_LOCK))
            old = left.with_suffix(".old")
            if old.exists() and not path.exists():  # killed between two renames
                old.rename(path)
            shutil.rmtree(left, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)
            held.unlink()


def _replace(new: Path, path: Path, what: str, marker: str) -> None:
    """Replace the folder `path` by `new`; on failure the old one is restored."""
    if any(path.iterdir()) and not (path / marker).is_file():
        raise OSError(f"the folder exists and holds no {what}; choose another")
    old = new.with_suffix(".old")
    path.rename(old)
    try:
        new.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old)
