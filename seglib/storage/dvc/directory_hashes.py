"""A folder's files and its hash, as DVC computes them."""

import hashlib
import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from seglib.errors import SegError
from seglib.storage.dvc.dvcignore import ignored_in
from seglib.storage.dvc.legacy import UnixDigest
from seglib.storage.files import all_files, open_file

_IGNORED = frozenset({".git", ".hg", ".dvc"})  # by DVC, too


@dataclass(frozen=True)
class Entry:
    """A file of a dataset. `path` is relative and posix; `size` in bytes if known."""

    path: str
    md5: str
    size: int | None = None


def hash_folder(root: Path, *, dvcignore: bool = False, is_legacy: bool = False) -> str:
    """The hash that `dvc add` gives this folder: `<md5>.dir`.

    Args:
        root: the folder.
        dvcignore: leave out what `.dvcignore` names, as DVC does.
        is_legacy: as DVC 2 hashed.

    Raises:
        SegError: no such folder, or a file in it cannot be read.
    """
    return hash_entries(list_folder(root, dvcignore=dvcignore, is_legacy=is_legacy))


def list_folder(
    root: Path, *, dvcignore: bool = False, is_legacy: bool = False
) -> tuple[Entry, ...]:
    """Every file under a folder with its md5 and size, in DVC's order."""
    root = Path(root)
    if not root.is_dir():
        raise SegError(f"{root}: no such folder.")
    hash_one = partial(hash_file, is_legacy=is_legacy)
    try:
        files = list(all_files(root, skip=_IGNORED))
        if dvcignore:
            is_ignored = ignored_in(root)
            files = [file for file in files if not is_ignored(file.relative_to(root))]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            hashes = list(pool.map(hash_one, files))
        sizes = [path.stat().st_size for path in files]
    except OSError as error:
        raise SegError(
            f"{error.filename}: cannot be read ({error.strerror})."
        ) from error
    entries = [
        Entry(path.relative_to(root).as_posix(), md5, size)
        for path, md5, size in zip(files, hashes, sizes, strict=True)
    ]
    return tuple(sorted(entries, key=lambda entry: entry.path))


def links_left_out(root: Path) -> str:
    """What to say of links to folders, which are followed here, and not by DVC."""
    found = [
        (Path(folder) / name).relative_to(root).as_posix()
        for folder, names, _ in os.walk(root)
        for name in names
        if (Path(folder) / name).is_symlink()
    ]
    if not found:
        return ""
    return (
        f"DVC leaves out the links to folders: {', '.join(sorted(found))}. Put the "
        "folders themselves in their place."
    )


def hash_entries(entries: Iterable[Entry]) -> str:
    """The hash of DVC's listing of these files: `<md5>.dir`."""
    return hashlib.md5(listing(entries), usedforsecurity=False).hexdigest() + ".dir"


def listing(entries: Iterable[Entry]) -> bytes:
    """DVC's listing of these files, to the byte."""
    files = [{"md5": entry.md5, "relpath": entry.path} for entry in entries]
    return json.dumps(files, sort_keys=True).encode()


def hash_file(path: Path, *, is_legacy: bool = False) -> str:
    """The md5 of a file's bytes, in hexadecimal digits; DVC 2's of a text's."""
    digest = hashlib.md5(usedforsecurity=False)
    with open_file(path) as file:
        if is_legacy:
            unix = UnixDigest()
            while chunk := file.read(1 << 20):
                unix.update(chunk)
            return unix.hexdigest()
        return hashlib.file_digest(file, lambda: digest).hexdigest()
