"""Files and folders that are there as a whole or not at all.

What is under way lies beside its place, under a file lock: of a writer that was killed
the lock is gone, so the next writer of the same output knows what to remove, also on a
volume on which the other was in another pod. Where a file system has no locks, nothing
is removed.
"""

import glob
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from seglib.errors import SegError, disk_problem
from seglib.storage.file_lock import file_lock, lock

_LOCK = ".lock"


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole, in place of what is there.

    Raises:
        SegError: it cannot be written; what was there stays as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_alone(path.with_name(f".{path.name}.part")) as file:
            file.write(content)
            file.flush()
            Path(file.name).replace(path)
    except OSError as error:
        raise SegError(f"{path}: cannot be written ({error.strerror}).") from error


def write_text(path: Path, text: str) -> None:
    """The same of a text; names of files need not be Unicode, and are shown escaped."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


@contextmanager
def whole_folder(path: Path, *, what: str, marker: str) -> Iterator[Path]:
    """Write a folder beside its place; when the body has ended, it is put there.

    Args:
        what: what it holds, for messages: "model".
        marker: a file of it. An older folder is replaced if it has one, too.

    Yields:
        The empty folder to write to.

    Raises:
        SegError: it cannot be written, or something else is in its place. What was
            there stays as it was.
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
    """An empty folder beside a place; at the end it is removed if it is still there.

    Those of writers of the same place that were killed are removed first.
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
    """Open a file that is under way; at the end it is removed if it is still there.

    Another writer of the same file is waited for; what a killed one left is emptied.

    Yields:
        The open, empty file. Without locks, its name is another one.
    """
    file = _lock(part)
    try:
        yield file
    finally:
        with suppress(OSError):
            if _is_at(file, file.name):
                Path(file.name).unlink()
        with suppress(OSError):  # of a full disk, which the body has met, too
            file.close()


def _lock(part: Path) -> BinaryIO:
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
    """Remove what killed writers of a place left beside it."""
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
    """Put `new` where `path` is, which is kept until then."""
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
