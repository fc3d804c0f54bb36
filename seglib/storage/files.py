"""Regular files of a user, opened without waiting, and their SHA-256; the cache.

An entry of a folder may also be a FIFO, a device, a link to nothing or a loop of
links. Each is an `OSError` here whose `strerror` says what it is.
"""

import errno
import hashlib
import os
import stat
import sys
import unicodedata
from collections.abc import Iterable
from io import BufferedReader
from pathlib import Path

from seglib.environment import CACHE
from seglib.errors import SegError

_MODEL = ("model.keras", "contract.json")
TRAINING = "training.json"  # beside a model: its key, and resolved settings
_MORE_BYTES = 1 << 16  # that are read behind the size that a file had
_KINDS = {
    stat.S_IFDIR: "it is a folder",
    stat.S_IFIFO: "it is a FIFO, expected a file",
    stat.S_IFSOCK: "it is a socket, expected a file",
    stat.S_IFCHR: "it is a device, expected a file",
    stat.S_IFBLK: "it is a device, expected a file",
}
# Files that operating systems leave in folders, besides hidden ones.
_LEFT_BEHIND = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


def open_file(path: Path) -> BufferedReader:
    """Open a regular file, perhaps through links, for reading.

    Raises:
        OSError: there is none, or something else, which `strerror` names.
    """
    descriptor, _ = _open(path)
    return os.fdopen(descriptor, "rb")


def _open(path: Path) -> tuple[int, int]:
    """The descriptor of a regular file, opened for reading, and its size."""
    check_file(path)
    # It may have been replaced since: without O_NONBLOCK, a FIFO would wait here.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        _require_regular(path, found.st_mode)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, found.st_size


def read_file(path: Path, *, max_bytes: int | None = None) -> bytes:
    """The content of a regular file.

    Raises:
        OSError: as for `open_file`; or it has more than `max_bytes`.
    """
    descriptor, size = _open(path)
    try:
        most = sys.maxsize if max_bytes is None else max_bytes
        if size <= most:
            # Without a file object around it: a third of the time of a small file.
            content = os.read(descriptor, size + 1)
            while len(content) <= most:
                if not (more := os.read(descriptor, _MORE_BYTES)):
                    return content
                content += more
    finally:
        os.close(descriptor)
    reason = f"it has more than {max_bytes:,} bytes"
    raise OSError(errno.EFBIG, reason, os.fspath(path))


def check_file(path: Path) -> None:
    """Raise an OSError unless the path leads to a regular file."""
    try:
        mode = path.stat().st_mode
    except ValueError as error:  # a null character
        raise OSError(errno.EINVAL, str(error), os.fspath(path)) from error
    except OSError as error:
        if not path.is_symlink():
            raise
        reason = f"it is a link to {path.readlink()}, which does not exist"
        if error.errno == errno.ELOOP:
            reason = "it is a link that leads back to itself"
        raise OSError(error.errno, reason, os.fspath(path)) from error
    _require_regular(path, mode)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal.

    Raises:
        SegError: it cannot be read.
    """
    try:
        with open_file(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SegError(f"{path}: cannot be read ({error.strerror}).") from error


def model_digest(path: Path) -> str:
    """SHA-256 over the network and the contract of a model; raises as `file_sha256`."""
    return files_sha256(path / name for name in _MODEL)


def files_sha256(paths: Iterable[Path]) -> str:
    """SHA-256 over the contents of files, in their order; raises as `file_sha256`."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(bytes.fromhex(file_sha256(path)))
    return digest.hexdigest()


def cache_folder(cache: Path | None = None) -> Path:
    """The folder given, else the environment's SEGLIB_CACHE, else ~/.cache/seglib."""
    chosen = cache or os.environ.get(CACHE) or "~/.cache/seglib"
    return Path(chosen).expanduser()


def is_left_behind(name: str) -> bool:
    """Whether a file or folder of this name is no part of a dataset.

    Hidden ones such as macOS's `._photo.png`, and files of operating systems.
    """
    return name.startswith(".") or name.lower() in _LEFT_BEHIND


def visible_files(folder: Path) -> list[Path]:
    """The entries of a folder without folders and hidden ones, sorted.

    Entries that are no regular files are included; opening them fails.

    Raises:
        OSError: the folder cannot be listed.
    """
    return [folder / name for name in visible_names(folder)[0]]


def visible_folders(folder: Path) -> list[Path]:
    """The folders in a folder, perhaps through links, without hidden ones, sorted."""
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if not is_left_behind(e.name) and _is_dir(e)]
    return [folder / name for name in sorted(names)]


def visible_names(folder: Path) -> tuple[list[str], set[str]]:
    """The names of `visible_files`, and those that may be no regular files."""
    names, odd = [], set()
    with os.scandir(folder) as entries:  # tells folders without a call for each
        for entry in entries:
            name = entry.name
            if is_left_behind(name):
                continue
            if not entry.is_file(follow_symlinks=False):
                if _is_dir(entry):
                    continue
                odd.add(name)
            names.append(name)
    return sorted(names), odd


def normal(name: str) -> str:
    r"""The name in Unicode's normal form C, whichever form a file system gave it.

    macOS writes an é as two characters (form D), other systems as one.

    >>> normal("e\u0301") == "é"
    True
    """
    return unicodedata.normalize("NFC", name)


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False


def _require_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        code = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        reason = _KINDS.get(stat.S_IFMT(mode), "it is no regular file")
        raise OSError(code, reason, os.fspath(path))
