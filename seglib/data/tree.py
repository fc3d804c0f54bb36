"""The folders and files of a dataset, wherever they are stored."""

import os
import time
from contextlib import suppress
from pathlib import Path

from seglib.data.file_formats import max_file_bytes
from seglib.storage.files import (
    check_file,
    read_file,
    visible_folders,
    visible_names,
)

_SETTLED_S = 2.0  # the coarsest times of file systems in use


class Tree:
    """Local folders and files; subclasses hold those of a store."""

    threads = os.cpu_count() or 1  # that read at once

    def exists(self, path: Path) -> bool:
        """Whether something is there, even a broken link."""
        return os.path.lexists(path)

    def folders(self, folder: Path) -> list[Path]:
        """The folders in a folder without hidden ones, sorted."""
        return visible_folders(folder)

    def names(self, folder: Path) -> tuple[list[str], set[str]]:
        """The files in a folder, and those that may be unfit; see `visible_names`."""
        return visible_names(folder)

    def place(self, folder: Path) -> Path:
        """Where the files of a folder are, if they are somewhere else."""
        return folder

    def unfit(self, path: Path) -> str:
        """Why a path leads to no regular file; "" if it does."""
        try:
            check_file(path)
        except OSError as error:
            return str(error.strerror)
        return ""

    def read(self, path: Path) -> bytes:
        """The content of a file; an OSError if it cannot be read, or is too large."""
        return read_file(path, max_bytes=max_file_bytes())

    def identity(self, path: Path) -> str:
        """What stands for a file's content; "" if that may change unseen.

        As git and DVC know a file: by its inode, size and times, once it has not been
        changed for two seconds. A later change then gives it another time.
        """
        with suppress(OSError, ValueError):
            stat = path.stat()
            if time.time_ns() - stat.st_ctime_ns >= _SETTLED_S * 1e9:
                times = f"{stat.st_mtime_ns}-{stat.st_ctime_ns}"
                return f"{stat.st_ino}-{stat.st_size}-{times}"
        return ""

    def md5(self, path: Path) -> str:
        """The md5 of a file's content, where it is known without reading; else ""."""
        return ""


LOCAL = Tree()
