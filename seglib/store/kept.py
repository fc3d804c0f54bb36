"""Contents that a cache keeps, each once; the files of its datasets are links to them.

So what two versions of a dataset share is moved and stored once. Whoever writes into
a fetched file changes the kept content with it: both are hashed before they are used.
"""

import itertools
import os
import shutil
from contextlib import suppress
from pathlib import Path
from threading import Event

from seglib.store.folders import hash_file
from seglib.store.objects import Remote, object_key
from seglib.store.reading import copy_checked


class Kept:
    """The cache's contents, and the remote that has those which are not here yet."""

    def __init__(self, source: Remote, cache: Path, beside: Path):
        self._source, self._cache, self._beside = source, cache, beside
        self._numbers = itertools.count()

    def bring(self, md5: str, targets: list[Path], stop: Event) -> str:
        """Bring the files of one content.

        Returns:
            What is wrong with its object on the remote; "" if the files are there.

        Raises:
            OSError: the cache cannot be written to.
            SegError: the remote cannot be reached, or refuses.
            Stopped: `stop` was set.
        """
        missing = [path for path in targets if not _is_right(path, md5)]
        if not missing:
            return ""
        key = object_key(md5)
        kept = self._cache / key
        if not _is_right(kept, md5):
            problem = self._fetch(key, md5, kept, stop)
            if problem:
                return problem
        for target in missing:
            self._link(kept, target)
        return ""

    def _fetch(self, key: str, md5: str, kept: Path, stop: Event) -> str:
        part = self._part()
        try:
            with part.open("wb", buffering=0) as file:
                problem = copy_checked(
                    self._source,
                    key,
                    md5,
                    write=lambda chunk: _write_all(file.fileno(), chunk),
                    restart=lambda: file.truncate(file.seek(0)),
                    stop=stop,
                )
            if not problem:
                try:
                    part.replace(kept)
                except FileNotFoundError:
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    part.replace(kept)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
        return problem

    def _link(self, kept: Path, target: Path) -> None:
        """Let the target be this content, in one move, whatever was there."""
        with suppress(OSError):
            os.link(kept, target)
            return
        part = self._part()
        try:
            try:
                os.link(kept, part)
            except OSError:  # no hard links here, or too many of this content
                shutil.copyfile(kept, part)
            part.replace(target)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()

    def _part(self) -> Path:
        """A new name for a file that is under way."""
        return self._beside / f"{os.getpid()}-{id(self)}-{next(self._numbers)}"


def _is_right(path: Path, md5: str) -> bool:
    try:
        return hash_file(path) == md5
    except (FileNotFoundError, IsADirectoryError):
        return False


def _write_all(file: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(file, rest) :]
