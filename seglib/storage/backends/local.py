"""Objects in a folder: a DVC remote on a disk, or on a file system that many mount."""

import errno
import hashlib
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, TypeGuard

from seglib.errors import SegError
from seglib.storage.atomic_write import file_lock, open_alone
from seglib.storage.backends import (
    CHUNK,
    OBJECTS,
    ChangedObjectError,
    Listed,
    MissingObjectError,
    Moved,
    Stored,
    require_same,
)
from seglib.storage.files import open_file, read_file

_LEGACY_FOLDER = re.compile(r"[0-9a-f]{2}")  # of objects of DVC 2
_BESIDE = ".partial"  # what is being written, on the same file system


@dataclass(frozen=True)
class FolderRemote:
    """A folder; not necessarily one that holds objects."""

    root: Path

    def name(self, key: str) -> str:
        return str(self.root / key)

    def chunks(self, key: str, *, start: int = 0) -> Iterator[bytes]:
        with self._explained(key, "read"), open_file(self.root / key) as file:
            if start:
                file.seek(start)
            while chunk := file.read(CHUNK):
                yield chunk

    def small(self, keys: Iterable[str]) -> Iterator[tuple[str, bytearray]]:
        return iter(())  # nothing is quicker than `chunks`

    def read(self, key: str) -> Stored:
        with self._explained(key, "read"):
            content = read_file(self.root / key)
        return Stored(content, _etag(content))

    def write(
        self,
        key: str,
        source: bytes | Path,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
        md5: str | None = None,
        moved: Moved | None = None,
    ) -> None:
        target = self.root / key
        part = self.root / _BESIDE / key.replace("/", "-")
        with self._explained(key, "written"):
            target.parent.mkdir(parents=True, exist_ok=True)
            part.parent.mkdir(exist_ok=True)
            with open_alone(part) as file:
                received = _write_durably(file, source, moved)
                require_same(source, expected=md5, received=received)
                if if_absent:
                    try:
                        os.link(file.name, target)
                    except FileExistsError as error:
                        raise ChangedObjectError(f"{target} is there") from error
                elif if_match:
                    self._replace_if(target, Path(file.name), if_match)
                else:
                    Path(file.name).replace(target)

    def require_writable(self) -> None:
        with self._explained("", "written"):
            (self.root / _BESIDE).mkdir(parents=True, exist_ok=True)
            with open_alone(self.root / _BESIDE / "writable"):
                pass

    def delete(self, key: str) -> None:
        with self._explained(key, "deleted"):
            (self.root / key).unlink(missing_ok=True)

    def sizes(self, keys: Collection[str]) -> dict[str, int]:
        found = {}
        for key in keys:
            with suppress(MissingObjectError), self._explained(key, "read"):
                found[key] = (self.root / key).stat().st_size
        return found

    def objects(self, start: str) -> Iterator[Listed]:
        for path in (self.root / start).rglob("*"):
            with suppress(FileNotFoundError):
                facts = path.lstat()
                if stat.S_ISREG(facts.st_mode):
                    key = path.relative_to(self.root).as_posix()
                    yield Listed(key, facts.st_size, facts.st_mtime)

    @contextmanager
    def _explained(self, key: str, done: str) -> Iterator[None]:
        """Turn an OSError into the exception of a remote."""
        try:
            yield
        except OSError as error:
            if done == "read" and isinstance(error, FileNotFoundError):
                raise MissingObjectError from error
            where = f": {error.filename}" if done == "written" else ""
            raise SegError(
                f"{self.name(key)}: cannot be {done} ({error.strerror}{where}). "
                f"{_remedy(error)}"
            ) from error

    def _replace_if(self, target: Path, part: Path, etag: str) -> None:
        """Replace the object if its etag matches, under a lock of all replacements."""
        with file_lock(self.root / _BESIDE / "lock"):
            try:
                received = _etag(target.read_bytes())
            except FileNotFoundError:
                received = "no object"
            if received != etag:
                raise ChangedObjectError(f"{target}: {received}, not {etag}")
            part.replace(target)


def is_own_folder(remote: object) -> TypeGuard[FolderRemote]:
    """Whether a remote is the dataset's own folder, which holds its plain files."""
    if not isinstance(remote, FolderRemote) or (remote.root / OBJECTS).is_dir():
        return False
    names = [path.name for path in remote.root.iterdir() if path.name[0] != "."]
    return bool(names) and not any(map(_LEGACY_FOLDER.fullmatch, names))


def _write_durably(file: BinaryIO, source: bytes | Path, moved: Moved | None) -> str:
    """Write and flush to the disk; returns the md5."""
    digest = hashlib.md5(usedforsecurity=False)
    opened = BytesIO(source) if isinstance(source, bytes) else open_file(source)
    with opened as original:
        while chunk := original.read(CHUNK):
            file.write(chunk)
            digest.update(chunk)
            if moved:
                moved(len(chunk))
    file.flush()
    os.fsync(file.fileno())
    return digest.hexdigest()


def _etag(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _remedy(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "Free some space; what is complete is kept."
    if error.errno in (errno.EPERM, errno.EOPNOTSUPP):
        return "Its file system must know hard links."
    return "Check its permissions and its disk."
