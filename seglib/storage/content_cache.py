"""The cache of fetched contents: each is stored once, and datasets hold links to it.

So the files that two versions of a dataset share are transferred and stored once. A
write into a fetched file changes the cached content too: both are hashed before use.
"""

import hashlib
import itertools
import os
import shutil
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import BinaryIO

from seglib.storage.backends.base import CHUNK, Moved, Remote, object_key
from seglib.storage.checked_reads import copy_checked
from seglib.storage.dvc.directory_hashes import hash_file
from seglib.storage.dvc.legacy import LegacyRemote

_PARTIAL = "partial"


class ContentCache:
    """The cached contents, and the remote that has the others."""

    def __init__(
        self, source: Remote, cache: Path, owner: str, moved: Moved | None = None
    ):
        self._source, self._cache, self._owner = source, cache, owner
        self._moved = moved
        self._is_legacy = isinstance(source, LegacyRemote)
        self._numbers = itertools.count()

    def is_new(self, md5: str, targets: list[Path]) -> bool:
        """Whether neither the cache nor a target could hold this content."""
        here = os.path.exists
        kept = f"{self._cache}/{object_key(md5)}"
        return not (here(kept) or any(here(path) for path in targets))

    def keep(self, md5: str, content: bytearray, targets: list[Path]) -> bool:
        """Store a new content, and link files to it.

        Args:
            md5: that it must have.
            content: its bytes.
            targets: the files.

        Returns:
            Whether it has that md5; if not, nothing is stored.

        Raises:
            OSError: the cache cannot be written to.
        """
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
            return False
        kept = self._cache / object_key(md5)
        part = _Part(self._new_name(md5), self._moved)
        try:
            part.write(content)
            part.move_to(kept)
            self._link_all(md5, kept, targets)
        finally:
            part.discard()
        return True

    def bring(self, md5: str, targets: list[Path], stop: Event) -> str:
        """Fetch one content unless it is cached, and link files to it.

        Args:
            md5: of the content.
            targets: the files.
            stop: once it is set, nothing more is read.

        Returns:
            The problem of its object on the remote; "" if the files are in place.

        Raises:
            OSError: the cache cannot be written to.
            SegError: the remote cannot be reached, or refuses.
            TransferStopped: `stop` was set.
        """
        key = object_key(md5)
        kept = self._cache / key
        missing = [path for path in targets if not self._is_right(path, md5)]
        if not missing:
            return ""
        part = _Part(self._new_name(md5), self._moved)
        try:
            if not self._is_right(kept, md5):
                problem = copy_checked(
                    self._source,
                    key,
                    md5,
                    write=part.write,
                    restart=part.restart,
                    stop=stop,
                )
                if problem:
                    return problem
                part.move_to(kept)
            self._link_all(md5, kept, missing)
        finally:
            part.discard()
        return ""

    def _is_right(self, path: Path, md5: str) -> bool:
        try:
            return hash_file(path, is_legacy=self._is_legacy) == md5
        except (FileNotFoundError, IsADirectoryError):
            return False

    def _link_all(self, md5: str, kept: Path, targets: list[Path]) -> None:
        """Link the targets to the content, in place of what is there."""
        for target in targets:
            try:
                os.link(kept, target)
            except OSError:
                part = self._new_name(md5)
                try:
                    part.parent.mkdir(parents=True, exist_ok=True)
                    _link_or_copy(kept, part)
                    part.replace(target)
                finally:
                    with suppress(FileNotFoundError):
                        part.unlink()

    def _new_name(self, md5: str) -> Path:
        """A path for a partial file, in one of 256 folders.

        ext4 creates files three times as fast in 256 folders as in one.
        """
        number = f"{os.getpid()}-{id(self)}-{next(self._numbers)}"
        return self._cache / _PARTIAL / md5[:2] / f"{self._owner}-{number}"


def clear_left(cache: Path, owner: str) -> None:
    """Remove the partial files of an owner whose process has ended."""
    for left in (cache / _PARTIAL).glob(f"??/{owner}-*"):
        left.unlink()


class _Part:
    """A partial file: in memory while it is small, then on the disk."""

    def __init__(self, path: Path, moved: Moved | None):
        self._path, self._moved = path, moved
        self._content = bytearray()
        self._file: BinaryIO | None = None
        self._on_disk = False

    def write(self, chunk: bytes | bytearray) -> None:
        if self._moved:
            self._moved(len(chunk))
        if self._file is None and len(self._content) + len(chunk) <= CHUNK:
            self._content += chunk
            return
        self._spill().write(chunk)

    def restart(self) -> None:
        self._content.clear()
        if self._file:
            self._file.truncate(self._file.seek(0))

    def move_to(self, target: Path) -> None:
        """Move it to its place, atomically."""
        if self._file:
            self._file.close()
        else:
            self._write_at_once()
        try:
            self._path.replace(target)
        except FileNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._path.replace(target)
        self._on_disk = False

    def discard(self) -> None:
        if self._file:
            with suppress(OSError):  # of a full disk, which has been told already
                self._file.close()
        if self._on_disk:
            self._path.unlink(missing_ok=True)

    def _write_at_once(self) -> None:
        """Write with few system calls: each lets another thread run."""
        file = self._open()
        try:
            rest = memoryview(self._content)
            while rest:
                rest = rest[os.write(file, rest) :]
        finally:
            os.close(file)

    def _spill(self) -> BinaryIO:
        if self._file is None:
            self._file = os.fdopen(self._open(), "wb", buffering=CHUNK)
            self._file.write(self._content)
            self._content.clear()
        return self._file

    def _open(self) -> int:
        self._on_disk, flags = (
            True,
            os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC,
        )
        try:
            return os.open(self._path, flags, 0o666)
        except FileNotFoundError:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self._path, flags, 0o666)


def _link_or_copy(kept: Path, part: Path) -> None:
    try:
        os.link(kept, part)
    except OSError:  # no hard links here, or too many of this content
        shutil.copyfile(kept, part)
