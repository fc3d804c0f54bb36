"""A dataset in a store, read object by object, each into memory alone."""

import errno
from collections import defaultdict
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from seglib.data.file_formats import max_file_bytes
from seglib.data.tree import LOCAL, Tree
from seglib.errors import SegError
from seglib.storage.backends import OBJECTS, THREADS, MissingObjectError, Remote
from seglib.storage.files import is_left_behind
from seglib.storage.listings import read_listing
from seglib.storage.pins import default_remote, load_pin
from seglib.storage.remotes import open_remote
from seglib.storage.transfers import copy_checked, resumed


class _Object(NamedTuple):
    key: str  # of a plain object; "": it lies at its md5's
    md5: str = ""  # as DVC computes it
    size_bytes: int = 0
    etag: str = ""


def open_tree(place: str | Path, remote: str = "") -> tuple[Path, Tree]:
    """The root of a dataset, and the tree that holds it.

    Args:
        place: a folder; `data.dvc`, a pin, whose files are read from the remote; or
            s3://bucket/prefix, with the dataset's folders below it.
        remote: of a pin. Default: that of its repository.

    Raises:
        SegError: the pin or the remote cannot be read.
    """
    if str(place).startswith("s3://"):
        return _in_bucket(str(place))
    path = Path(place)
    if path.suffix == ".dvc" and path.is_file():
        return _pinned(path, remote or default_remote(path))
    return path, LOCAL


def _pinned(path: Path, remote: str) -> tuple[Path, Tree]:
    pin = load_pin(path)
    listing = read_listing(open_remote(remote), pin.md5)
    if listing.folder:
        return listing.folder, LOCAL
    objects = {e.path: _Object("", e.md5, e.size or 0) for e in listing.entries}
    tree = StoredTree(pin.folder, listing.source, objects, is_legacy=listing.is_legacy)
    return pin.folder, tree


def _in_bucket(url: str) -> tuple[Path, Tree]:
    source = open_remote(url)
    found = list(source.objects(""))
    if any(each.key.startswith(f"{OBJECTS}/") for each in found):
        raise SegError(
            f"{source.name('')}: a DVC remote, whose objects have no names. Give the "
            "pin instead, such as `seglib verify data.dvc`."
        )
    root = Path(source.name("").removeprefix("s3://"))
    objects = {
        each.key: _Object(each.key, "", each.size_bytes, each.etag)
        for each in found
        if not each.key.endswith("/")  # made by consoles, in place of a folder
    }
    return root, StoredTree(root, source, objects)


class StoredTree(Tree):
    """Objects of a store, by their paths below a root."""

    threads = THREADS

    def __init__(
        self,
        root: Path,
        source: Remote,
        objects: Mapping[str, _Object],
        *,
        is_legacy: bool = False,
    ):
        self._source, self._is_legacy = source, is_legacy
        self._objects: dict[Path, _Object] = {}
        self._files: dict[Path, list[Path]] = defaultdict(list)
        self._folders: dict[Path, set[Path]] = {root: set()}
        for name, stored in sorted(objects.items()):
            path = root / name
            self._objects[path] = stored
            self._files[path.parent].append(path)
            for folder in PurePosixPath(name).parents:
                if folder.name:
                    here = self._folders.setdefault((root / folder).parent, set())
                    here.add(root / folder)

    def exists(self, path: Path) -> bool:
        return path in self._objects or path in self._files or path in self._folders

    def folders(self, folder: Path) -> list[Path]:
        found = self._folders.get(folder, ())
        return sorted(path for path in found if not is_left_behind(path.name))

    def names(self, folder: Path) -> tuple[list[str], set[str]]:
        if not self.exists(folder):
            raise FileNotFoundError(errno.ENOENT, "no such folder", str(folder))
        found = self._files.get(folder, ())
        return [path.name for path in found if not is_left_behind(path.name)], set()

    def unfit(self, path: Path) -> str:
        return ""

    def read(self, path: Path) -> bytes:
        stored, limit = self._objects[path], max_file_bytes()
        if stored.size_bytes > limit:
            reason = f"it has more than {limit:,} bytes"
            raise OSError(errno.EFBIG, reason, str(path))
        if stored.key:
            try:
                return b"".join(resumed(self._source, stored.key))
            except MissingObjectError as error:
                raise OSError(errno.ENOENT, "it was removed", str(path)) from error
        content = BytesIO()
        problem = copy_checked(
            self._source,
            stored.md5,
            content,
            is_legacy=self._is_legacy,
            max_bytes=limit,
        )
        if problem:
            raise OSError(errno.EIO, problem.rstrip("."), str(path))
        return content.getvalue()

    def identity(self, path: Path) -> str:
        stored = self._objects[path]
        if not stored.key:
            return f"DVC 2 {stored.md5}" if self._is_legacy else ""
        address = self._source.name(stored.key)
        return f"{address} {stored.size_bytes} {stored.etag}" if stored.etag else ""

    def md5(self, path: Path) -> str:
        return "" if self._is_legacy else self._objects[path].md5
