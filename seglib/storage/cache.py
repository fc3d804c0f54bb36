"""Contents that a cache keeps, each once; the files of its datasets are links to them.

So what two versions of a dataset share is moved and stored once. Whoever writes into
a fetched file changes the kept content with it: both are hashed before they are used.
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

_UNDER_WAY = "partial"


class Kept:
    """The cache's contents, and the remote that has those which are not here yet."""

    def __init__(
        self, source: Remote, cache: Path, owner: str, moved: Moved | None = None
    ):
        self._source, self._cache, self._owner = source, cache, owner
        self._moved = moved
        self._is_legacy = isinstance(source, LegacyRemote)
        self._numbers = itertools.count()

    def is_new(self, md5: str, targets: list[Path]) -> bool:
        """Whether nothing is here that could be this content."""
        here = os.path.exists
        kept = f"{self._cache}/{object_key(md5)}"
        return not (here(kept) or any(here(path) for path in targets))

    def keep(self, md5: str, content: bytearray, targets: list[Path]) -> bool:
        """Keep a content of which nothing is here, and let the files be it.

        Args:
            md5: that it must have.
            content: its bytes.
            targets: the files.

        Returns:
            Whether it has that md5; if it has not, nothing is kept.

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
        """Bring the files of one content.

        Args:
            md5: of the content.
            targets: the files.
            stop: once it is set, nothing more is read.

        Returns:
            What is wrong with its object on the remote; "" if the files are there.

        Raises:
            OSError: the cache cannot be written to.
            SegError: the remote cannot be reached, or refuses.
            Stopped: `stop` was set.
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
        """Let the targets be this content, each in one move, whatever was there."""
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
        """For a file that is under way.

        In a folder of many: ext4 makes files three times as fast in 256 as in one.
        """
        number = f"{os.getpid()}-{id(self)}-{next(self._numbers)}"
        return self._cache / _UNDER_WAY / md5[:2] / f"{self._owner}-{number}"


def clear_left(cache: Path, owner: str) -> None:
    """Remove what was under way for an owner, of whom there is none any more."""
    for left in (cache / _UNDER_WAY).glob(f"??/{owner}-*"):
        left.unlink()


class _Part:
    """A file that is under way: in memory while it is small, then beside its place."""

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
        """Let it be this file, in one move."""
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
        """With the fewest system calls: at each, another thread takes its turn."""
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
