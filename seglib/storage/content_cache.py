"""The cache of fetched contents: each is stored once, and datasets hold links to it.

So the files that two versions of a dataset share are transferred and stored once. A
write into a fetched file changes the cached content too: both are hashed before use.
"""

import hashlib
import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from seglib.storage.backends import Moved, Remote, object_key
from seglib.storage.hashes import hash_file
from seglib.storage.transfers import copy_checked

_PARTIAL = "partial"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC


class ContentCache:
    """The cached contents, and the remote that has the others.

    Partial files are named after the owner. `moved` gets the bytes of each piece that
    has come.
    """

    def __init__(
        self,
        source: Remote,
        cache: Path,
        owner: str,
        *,
        is_legacy: bool = False,
        moved: Moved | None = None,
    ):
        self._source, self._cache, self._owner = source, cache, owner
        self._is_legacy, self._moved = is_legacy, moved
        self._numbers = itertools.count()

    def is_new(self, md5: str, targets: list[Path]) -> bool:
        """Whether neither the cache nor a target could hold this content."""
        here = os.path.exists
        kept = f"{self._cache}/{object_key(md5)}"
        return not (here(kept) or any(here(path) for path in targets))

    def keep(self, md5: str, content: bytearray, targets: list[Path]) -> bool:
        """Store a new content, and link the targets to it; False if its md5 is another.

        Raises:
            OSError: the cache cannot be written to.
        """
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
            return False
        if self._moved:
            self._moved(len(content))
        with self._part(md5) as part:
            # With few system calls: each lets another thread run.
            file = _created(part)
            try:
                rest = memoryview(content)
                while rest:
                    rest = rest[os.write(file, rest) :]
            finally:
                os.close(file)
            self._store(md5, part, targets)
        return True

    def bring(self, md5: str, targets: list[Path], stop: Event) -> str:
        """Fetch a content unless it is cached, and link the targets to it.

        Returns:
            The problem of its object on the remote; "" if the files are in place.

        Raises:
            OSError: the cache cannot be written to; others as for `copy_checked`.
        """
        targets = [path for path in targets if not self._is_right(path, md5)]
        if not targets:
            return ""
        if self._is_right(self._cache / object_key(md5), md5):
            self._link_all(md5, targets)
            return ""
        with self._part(md5) as part:
            with os.fdopen(_created(part), "wb") as file:
                problem = copy_checked(
                    self._source,
                    md5,
                    file,
                    is_legacy=self._is_legacy,
                    moved=self._moved,
                    stop=stop,
                )
            if problem:
                part.unlink()
            else:
                self._store(md5, part, targets)
        return problem

    def _is_right(self, path: Path, md5: str) -> bool:
        try:
            return hash_file(path, is_legacy=self._is_legacy) == md5
        except (FileNotFoundError, IsADirectoryError):
            return False

    def _store(self, md5: str, part: Path, targets: list[Path]) -> None:
        """Move a complete file to its place, and link the targets to it."""
        kept = self._cache / object_key(md5)
        try:
            part.replace(kept)
        except FileNotFoundError:
            kept.parent.mkdir(parents=True, exist_ok=True)
            part.replace(kept)
        self._link_all(md5, targets)

    def _link_all(self, md5: str, targets: list[Path]) -> None:
        """Link the targets to the content, in place of what is there."""
        kept = self._cache / object_key(md5)
        for target in targets:
            try:
                os.link(kept, target)
            except OSError:
                with self._part(md5) as part:
                    part.parent.mkdir(parents=True, exist_ok=True)
                    try:
                        os.link(kept, part)
                    except OSError:  # no hard links here, or too many of this content
                        shutil.copyfile(kept, part)
                    part.replace(target)
                    part.unlink(missing_ok=True)  # of a target that was this link

    @contextmanager
    def _part(self, md5: str) -> Iterator[Path]:
        """A path for a partial file, in one of 256 folders; removed unless moved.

        ext4 creates files three times as fast in 256 folders as in one.
        """
        number = f"{os.getpid()}-{id(self)}-{next(self._numbers)}"
        part = self._cache / _PARTIAL / md5[:2] / f"{self._owner}-{number}"
        try:
            yield part
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def clear_left(cache: Path, owner: str) -> None:
    """Remove the partial files of an owner whose process has ended."""
    for left in (cache / _PARTIAL).glob(f"??/{owner}-*"):
        left.unlink()


def _created(part: Path) -> int:
    try:
        return os.open(part, _NEW, 0o666)
    except FileNotFoundError:
        part.parent.mkdir(parents=True, exist_ok=True)
        return os.open(part, _NEW, 0o666)
