"""Finished folders on a remote, under the hash of their content, and a `latest`.

A folder is published in DVC's layout: each file under its md5, and last the listing,
whose md5 is the folder's key. So a readable key names a complete folder, `fetch` reads
it back with every byte checked, and files that are there are not sent again. A pointer
names the newest publication of a name (storage/pointers.py).
"""

import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

from seglib.errors import SegError
from seglib.storage.atomic_write import folder_beside
from seglib.storage.backends import (
    OBJECTS,
    MissingObjectError,
    Moved,
    Remote,
    object_key,
)
from seglib.storage.fetching import fetch
from seglib.storage.hashes import Entry, hash_entries, list_folder, listing
from seglib.storage.pointers import Pointer, begin, latest, move_latest, pointer_key
from seglib.storage.remotes import open_remote
from seglib.storage.transfers import Progress, in_parallel

_PROBE = f"{OBJECTS}/probe"  # there is none
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Published:
    """The outcome of a publication."""

    key: str  # `<md5>.dir`
    num_files: int
    sent_files: int
    sent_bytes: int
    latest: Pointer | None  # of its name, afterwards; None if it has no name


def publish(
    folder: Path,
    url: str,
    *,
    name: str = "",
    progress: Progress | None = None,
    moved: Moved | None = None,
) -> Published:
    """Store all files of a folder on a remote, and move `latest` of a name to it.

    Args:
        folder: what is published.
        url: s3://bucket/prefix or a folder, which is made if it is not there.
        name: whose `latest` shall be this folder, unless a later publication of the
            same name has ended already; "" moves none.
        progress: called with the files that are done and all of them.
        moved: called with the bytes of each piece that has been sent, by any thread.

    Raises:
        UsageError: a name that cannot be one.
        SegError: the folder cannot be read, or changes meanwhile; or the remote cannot
            be written to. `latest` is then what it was, and what was sent is kept.
    """
    if name:
        pointer_key(name)
    if not Path(folder).is_dir():
        raise SegError(f"{folder}: no such folder.")
    remote = open_remote(url, create=True)
    remote.require_writable()
    begun = begin(remote, name) if name else None
    entries = list_folder(folder)
    if not entries:
        raise SegError(f"{folder}: holds no files. There is nothing to publish.")
    sent = _send(remote, Path(folder), entries, progress, moved)
    key = hash_entries(entries)
    content = listing(entries)
    if remote.sizes([object_key(key)]).get(object_key(key)) != len(content):
        remote.write(object_key(key), content)
    pointer = move_latest(remote, replace(begun, key=key)) if begun else None
    return Published(key, len(entries), len(sent), sum(sent), pointer)


def check_place(url: str, name: str = "") -> None:
    """Check before a training that a place, and `latest` of a name, can be used.

    Raises:
        UsageError: an address or a name that cannot be one.
        SegError: the place cannot be read or written to, or `latest` is damaged.
    """
    if name:
        pointer_key(name)
    remote = open_remote(url, create=True)
    remote.require_writable()
    with suppress(MissingObjectError):
        remote.read(_PROBE)
    if name:
        begin(remote, name)


def fetch_published(
    url: str,
    name: str,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
    moved: Moved | None = None,
) -> Path:
    """Fetch the newest publication of a name, or that of a key; as `fetch` does."""
    key = name if name.endswith(".dir") else latest(url, name).key
    return fetch(key, url, cache=cache, progress=progress, moved=moved)


def follow(
    url: str, name: str, folder: Path, *, part: str = "saved_model", keep: int = 2
) -> Path | None:
    """Fetch the newest publication of a name into a model server's folder.

    TensorFlow Serving, for one, loads `<folder>/<version>/saved_model.pb` with the
    highest version, and keeps looking for a higher one. So versions appear atomically,
    and later publications have higher numbers.

    Args:
        url: where it was published.
        name: its name.
        folder: of the versions. Nobody else writes into it.
        part: the folder within a publication that is served.
        keep: how many versions stay; the server may still answer from the last but
            one while it loads the newest.

    Returns:
        The new version's folder; None if the newest was there already.

    Raises:
        SegError: nothing was published under the name, the publication has no such
            part, the remote cannot be read, or the folder not be written. What was
            there stays.
    """
    pointer = latest(url, name)
    # In microseconds since 1970, which 64 bits hold.
    version = (pointer.moment - _EPOCH) // timedelta(microseconds=1)
    target = folder / str(version)
    if target.is_dir():
        return None
    try:
        with folder_beside(folder) as beside:
            root = fetch_published(url, pointer.key, cache=beside)
            if not (root / part).is_dir():
                raise SegError(
                    f"{pointer.key} at {url} has no folder {part}, so it cannot be "
                    f"served. Expected an export. Publish one under the name {name}."
                )
            folder.mkdir(parents=True, exist_ok=True)
            (root / part).rename(target)
        for old in versions(folder)[:-keep]:
            shutil.rmtree(old)
    except OSError as error:
        raise SegError(f"{folder}: cannot be written ({error}).") from error
    return target


def versions(folder: Path) -> list[Path]:
    """The versions in a model server's folder, the newest last."""
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted((p for p in found if p.name.isdecimal()), key=lambda p: int(p.name))


def _send(
    remote: Remote,
    folder: Path,
    entries: tuple[Entry, ...],
    progress: Progress | None,
    moved: Moved | None,
) -> list[int]:
    """Send the files that the remote lacks; returns their sizes."""
    by_md5 = {entry.md5: entry for entry in entries}
    there = remote.sizes({object_key(md5) for md5 in by_md5})
    # What has another size is damaged, and sent again.
    missing = [e for md5, e in by_md5.items() if there.get(object_key(md5)) != e.size]
    done = len(by_md5) - len(missing)

    def send(entry: Entry, _: Event) -> int:
        path = folder / entry.path
        remote.write(object_key(entry.md5), path, md5=entry.md5, moved=moved)
        return entry.size or 0

    def report(sent: list[int]) -> None:
        if progress:
            progress(done + len(sent), len(by_md5))

    report([])
    # Large files first, so that none is transferred alone at the end.
    missing.sort(key=lambda entry: -(entry.size or 0))
    return in_parallel(send, missing, report=report)
