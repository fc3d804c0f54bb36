"""Listings of datasets, and the listed files that a remote lacks."""

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from seglib.errors import SegError
from seglib.storage.backends.base import OBJECTS, Remote, object_key
from seglib.storage.backends.local import is_own_folder
from seglib.storage.checked_reads import copy_checked
from seglib.storage.documents import parse_json
from seglib.storage.dvc.directory_hashes import (
    Entry,
    hash_entries,
    links_left_out,
    list_folder,
)
from seglib.storage.dvc.legacy import LegacyRemote
from seglib.storage.dvc.pins import require_hash
from seglib.storage.remotes import open_remote

_FILE_HASH = re.compile(r"[0-9a-f]{32}")
_LARGEST_FILE = 1 << 20  # bytes, of what is read into memory


def with_sizes(entries: Iterable[Entry], remote: str) -> tuple[Entry, ...]:
    """The entries with the sizes that the remote knows; nothing is downloaded.

    An entry without a size afterwards has no object on the remote.
    """
    entries, source = tuple(entries), open_remote(remote)
    if is_own_folder(source):
        return entries
    keys = {object_key(entry.md5) for entry in entries}
    sizes = source.sizes(keys) or LegacyRemote(source).sizes(keys)
    return tuple(replace(e, size=sizes.get(object_key(e.md5))) for e in entries)


def missing_files(data_md5: str, remote: str) -> list[str]:
    """Paths of a dataset's files that the remote lacks; nothing is downloaded.

    Where the listing itself is missing, it is the only one that can be named.

    Raises:
        SegError: the remote cannot be reached, or its listing is damaged.
    """
    source = open_remote(remote)
    if is_own_folder(source):
        _plain_entries(source.root, data_md5)
        return []
    listing = object_key(require_hash(data_md5))
    if not source.sizes([listing]) and not LegacyRemote(source).sizes([listing]):
        return [f"{source.name(listing)} (the listing of the dataset)"]
    entries = with_sizes(read_entries(source, data_md5), remote)
    return [f"{e.path} ({e.md5})" for e in entries if e.size is None]


def manifest_entries(data_md5: str, remote: str) -> tuple[Entry, ...]:
    """The files of a dataset, by its verified manifest.

    Args:
        data_md5: the dataset's hash, `<md5>.dir`.
        remote: as for `fetch`.

    Raises:
        SegError: the manifest is missing or damaged, or names files outside of the
            dataset; or the plain folder is not the dataset of this hash.
    """
    return read_entries(open_remote(remote), data_md5)


def read_entries(source: Remote, data_md5: str) -> tuple[Entry, ...]:
    """`manifest_entries` of an open remote."""
    return find_entries(source, data_md5)[1]


def find_entries(source: Remote, data_md5: str) -> tuple[Remote, tuple[Entry, ...]]:
    """The files of a dataset, and the remote in the layout that holds it.

    Raises:
        SegError: as for `manifest_entries`.
    """
    require_hash(data_md5)
    if is_own_folder(source):
        return source, _plain_entries(source.root, data_md5)
    key, content = object_key(data_md5), bytearray()
    read = partial(
        copy_checked,
        key=key,
        md5=data_md5.removesuffix(".dir"),
        write=content.extend,
        restart=content.clear,
    )
    problem = read(source)
    if problem and (legacy := LegacyRemote(source)).sizes([key]):
        content.clear()
        source, problem = legacy, read(legacy)
    if problem:
        raise SegError(f"The manifest of the dataset: {problem}")
    tree = parse_json(
        bytes(content), name=source.name(key), remedy="Nothing was fetched."
    )
    try:
        return source, tuple(_parse_entry(item) for item in tree)
    except (ValueError, KeyError, TypeError) as error:
        raise SegError(
            f"{source.name(key)}: not a manifest of a dataset: {error}. Nothing was "
            "fetched."
        ) from error


def read_file(source: Remote, entry: Entry, *, max_bytes: int = _LARGEST_FILE) -> bytes:
    """Read a small file of a dataset, such as dataset.yaml, checked and not cached.

    Raises:
        SegError: it is missing or damaged, too large, or the remote cannot be read.
    """
    content = bytearray()

    def extend(chunk: bytes) -> None:
        content.extend(chunk)
        if len(content) > max_bytes:
            raise SegError(f"{entry.path}: more than {max_bytes:,} bytes.")

    if is_own_folder(source):
        for chunk in source.chunks(entry.path):
            extend(chunk)
        return bytes(content)
    key, problem = object_key(entry.md5), ""
    for place in (source, LegacyRemote(source)):
        content.clear()
        told = copy_checked(place, key, entry.md5, write=extend, restart=content.clear)
        if not told:
            return bytes(content)
        problem = problem or told
    raise SegError(f"{entry.path}: {problem}")


def _plain_entries(root: Path, data_md5: str) -> tuple[Entry, ...]:
    entries = list_folder(root)
    received = hash_entries(entries)
    if received != data_md5:
        for dvcignore, is_legacy in ((True, False), (False, True), (True, True)):
            others = list_folder(root, dvcignore=dvcignore, is_legacy=is_legacy)
            if hash_entries(others) == data_md5:
                _require_no_more(root, entries, others)
                return others
        raise SegError(
            f"{root}: not the pinned dataset. Expected md5: {data_md5}. Received: "
            f"{received} ({len(entries)} files). Restore the files, pin them anew with "
            f"`dvc add`, or name a DVC remote (a folder that holds {OBJECTS}/). "
            f"{links_left_out(root)}".rstrip()
        )
    return entries


def _require_no_more(
    root: Path, all_entries: Iterable[Entry], entries: Iterable[Entry]
) -> None:
    """Refuse a folder in which `.dvcignore` excludes files that a training reads."""
    taken = {entry.path for entry in entries}
    for entry in all_entries:
        if entry.path not in taken and not PurePosixPath(entry.path).name[:1] == ".":
            raise SegError(
                f"{root}: holds {entry.path}, which .dvcignore leaves out of the "
                "pinned dataset, and a training would read. Move it elsewhere, or take "
                "the dataset from a DVC remote."
            )


def _parse_entry(item: dict[str, Any]) -> Entry:
    path, md5 = str(item["relpath"]), str(item["md5"])
    parts = PurePosixPath(path).parts
    outside = not parts or path.startswith("/") or ".." in parts
    if outside or "\\" in path or "\0" in path or ":" in parts[0]:
        raise ValueError(f"the path {path!r} leads out of the dataset's folder")
    if not _FILE_HASH.fullmatch(md5):
        raise ValueError(f"{path} has the md5 {md5!r}, which is none")
    return Entry("/".join(parts), md5, item.get("size"))
