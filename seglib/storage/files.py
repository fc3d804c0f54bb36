"""Regular files of a user, opened without waiting, and their SHA-256; the cache.

An entry of a folder may also be a FIFO, a device, a link to nothing or a loop of
links. Each is an `OSError` here whose `strerror` says what it is.
"""

import errno
import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterable
from io import BufferedReader
from pathlib import Path

from seglib.environment import CACHE
from seglib.errors import SegError

_MODEL = ("model.keras", "contract.json")
TRAINING = "training.json"  # beside a model: what automatic settings came to
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
    check_file(path)
    # It may have been replaced since: without O_NONBLOCK, a FIFO would wait here.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _require_regular(path, os.fstat(descriptor).st_mode)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_file(path: Path, *, max_bytes: int | None = None) -> bytes:
    """The content of a regular file.

    Raises:
        OSError: as for `open_file`; or it has more than `max_bytes`.
    """
    with open_file(path) as file:
        if max_bytes is None:
            return file.read()
        size = os.fstat(file.fileno()).st_size
        if size <= max_bytes:
            content = file.read(size + 1)  # memory for more would cost time
            if len(content) > size:  # it has grown
                content += file.read(max_bytes + 1 - len(content))
            if len(content) <= max_bytes:
                return content
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
    with os.scandir(folder) as entries:  # tells folders without a call for each
        names = [e.name for e in entries if not (is_left_behind(e.name) or _is_dir(e))]
    return [folder / name for name in sorted(names)]


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
