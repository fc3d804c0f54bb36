"""Folders that are there as a whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seglib.errors import SegError


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
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.mkdir(parents=True)
        yield beside
        if path.exists():
            _replace(beside, path, what, marker)
        else:
            beside.rename(path)
    except OSError as error:
        raise SegError(f"{path}: the {what} cannot be written ({error}).") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _replace(new: Path, path: Path, what: str, marker: str) -> None:
    """Put `new` where `path` is, which is kept until then."""
    if any(path.iterdir()) and not (path / marker).is_file():
        raise OSError(f"the folder exists and holds no {what}; choose another")
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    path.rename(old)
    new.rename(path)
    shutil.rmtree(old)
