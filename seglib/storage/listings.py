"""Listings of datasets, and the listed files that a remote lacks.

DVC 2 kept objects at xx/…, and DVC 3 does so for its pins. A pod has no pin, so a
dataset is read this way if its listing lies at DVC 2's place and not at DVC 3's.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from seglib.errors import SegError
from seglib.storage.backends import OBJECTS, Remote, object_key
from seglib.storage.backends.local import is_own_folder
from seglib.storage.documents import parse_json
from seglib.storage.files import read_file
from seglib.storage.hashes import (
    Entry,
    hash_entries,
    links_left_out,
    list_folder,
    require_hash,
)
from seglib.storage.remotes import open_remote
from seglib.storage.transfers import copy_checked

_FILE_HASH = re.compile(r"[0-9a-f]{32}")
_LARGEST_FILE = 1 << 20  # bytes, of what is read into memory


class Listing(NamedTuple):
    """The files of a dataset, and where they are."""

    source: Remote
    entries: tuple[Entry, ...]
    is_legacy: bool = False  # in DVC 2's layout
    folder: Path | None = None  # the dataset's own, if that is the remote


def with_sizes(entries: Iterable[Entry], remote: str) -> tuple[Entry, ...]:
    """The entries with the sizes that the remote knows; nothing is downloaded.

    An entry without a size afterwards has no object on the remote.
    """
    entries, source = tuple(entries), open_remote(remote)
    if is_own_folder(source):
        return entries
    sizes: dict[str, int] = {}
    for is_legacy in (False, True):
        keys = {object_key(e.md5, is_legacy=is_legacy): e.md5 for e in entries}
        sizes = sizes or {keys[k]: size for k, size in source.sizes(keys).items()}
    return tuple(replace(e, size=sizes.get(e.md5)) for e in entries)


def missing_files(data_md5: str, remote: str) -> list[str]:
    """Paths of a dataset's files that the remote lacks; nothing is downloaded.

    Where the listing itself is missing, it is the only one that can be named.

    Raises:
        SegError: the remote cannot be reached, or its listing is damaged.
    """
    source = open_remote(remote)
    key = object_key(require_hash(data_md5))
    old_key = object_key(data_md5, is_legacy=True)
    if not is_own_folder(source) and not source.sizes([key, old_key]):
        return [f"{source.name(key)} (the listing of the dataset)"]
    listing = read_listing(source, data_md5)
    if listing.folder:
        return []
    entries = with_sizes(listing.entries, remote)
    return [f"{e.path} ({e.md5})" for e in entries if e.size is None]


def manifest_entries(data_md5: str, remote: str) -> tuple[Entry, ...]:
    """The files of a dataset, `<md5>.dir`; raises as `read_listing`."""
    return read_listing(open_remote(remote), data_md5).entries


def read_listing(source: Remote, data_md5: str) -> Listing:
    """The verified listing of a dataset.

    Raises:
        SegError: it is missing or damaged, or names files outside of the dataset; or
            the remote is a plain folder, and not the dataset of this hash.
    """
    require_hash(data_md5)
    if is_own_folder(source):
        entries = _plain_entries(source.root, data_md5)
        return Listing(source, entries, folder=source.root)
    content, is_legacy = BytesIO(), False
    problem = copy_checked(source, data_md5, content)
    if problem and source.sizes([object_key(data_md5, is_legacy=True)]):
        is_legacy = True
        problem = copy_checked(source, data_md5, content, is_legacy=True)
    if problem:
        raise SegError(f"The manifest of the dataset: {problem}")
    name = source.name(object_key(data_md5, is_legacy=is_legacy))
    tree = parse_json(content.getvalue(), name=name, remedy="Nothing was fetched.")
    try:
        return Listing(source, tuple(_parse_entry(item) for item in tree), is_legacy)
    except (ValueError, KeyError, TypeError) as error:
        raise SegError(
            f"{name}: not a manifest of a dataset: {error}. Nothing was fetched."
        ) from error


def read_entry(
    source: Remote, entry: Entry, *, max_bytes: int = _LARGEST_FILE
) -> bytes:
    """Read a small file of a dataset, such as dataset.yaml, checked and not cached.

    Raises:
        SegError: it is missing or damaged, too large, or the remote cannot be read.
    """
    if is_own_folder(source):
        try:
            return read_file(source.root / entry.path, max_bytes=max_bytes)
        except OSError as error:
            reason = f"cannot be read ({error.strerror})."
            raise SegError(f"{entry.path}: {reason}") from error
    content, problems = BytesIO(), []
    for is_legacy in (False, True):
        problem = copy_checked(
            source, entry.md5, content, is_legacy=is_legacy, max_bytes=max_bytes
        )
        if not problem:
            return content.getvalue()
        problems.append(problem)
    raise SegError(f"{entry.path}: {problems[0]}")


def _plain_entries(root: Path, data_md5: str) -> tuple[Entry, ...]:
    """The files of a plain folder; `.dvcignore` may leave out what nobody reads."""
    every = entries = list_folder(root)
    for dvcignore, is_legacy in ((True, False), (False, True), (True, True)):
        if hash_entries(entries) == data_md5:
            break
        entries = list_folder(root, dvcignore=dvcignore, is_legacy=is_legacy)
    if hash_entries(entries) != data_md5:
        raise SegError(
            f"{root}: not the pinned dataset. Expected md5: {data_md5}. Received: "
            f"{hash_entries(every)} ({len(every)} files). Restore the files, pin them "
            "anew with `dvc add`, or name a DVC remote (a folder that holds "
            f"{OBJECTS}/). {links_left_out(root)}".rstrip()
        )
    taken = {entry.path for entry in entries}
    for path in (entry.path for entry in every if entry.path not in taken):
        if not PurePosixPath(path).name.startswith("."):
            raise SegError(
                f"{root}: holds {path}, which .dvcignore leaves out of the pinned "
                "dataset, and a training would read. Move it elsewhere, or take the "
                "dataset from a DVC remote."
            )
    return entries


def _parse_entry(item: dict[str, Any]) -> Entry:
    path, md5 = str(item["relpath"]), str(item["md5"])
    parts = PurePosixPath(path).parts
    outside = not parts or path.startswith("/") or ".." in parts
    if outside or "\\" in path or "\0" in path or ":" in parts[0]:
        raise ValueError(f"the path {path!r} leads out of the dataset's folder")
    if not _FILE_HASH.fullmatch(md5):
        raise ValueError(f"{path} has the md5 {md5!r}, which is none")
    return Entry("/".join(parts), md5, item.get("size"))
