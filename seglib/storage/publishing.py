"""Finished folders on a remote, under the hash of their content, and a `latest`.

A folder is published in DVC's layout: each file under its md5, and last the listing,
whose md5 is the folder's key. So a readable key names a complete folder, `fetch` reads
it back with every byte checked, and files that are there are not sent again. A pointer
names the newest publication of a name (storage/pointers.py).
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from seglib.errors import SegError
from seglib.storage.backends.base import (
    OBJECTS,
    MissingObjectError,
    Moved,
    Remote,
    object_key,
)
from seglib.storage.dvc.directory_hashes import (
    Entry,
    hash_entries,
    list_folder,
    listing,
)
from seglib.storage.fetching import fetch
from seglib.storage.parallel import Progress, in_parallel
from seglib.storage.pointers import Pointer, begin, latest, move_latest, pointer_key
from seglib.storage.remotes import open_remote

_PROBE = f"{OBJECTS}/probe"  # there is none


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
    """Store a folder on a remote, and move `latest` of a name to it.

    Args:
        folder: what is published: all files in it.
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
    return Published(
        key=key,
        num_files=len(entries),
        sent_files=len(sent),
        sent_bytes=sum(sent),
        latest=pointer,
    )


def check_place(url: str, name: str = "") -> None:
    """Check before a training that a place can be read and written.

    Args:
        url: where a training's state or its export will go.
        name: whose `latest` is looked at, too.

    Raises:
        UsageError: an address or a name that cannot be one.
        SegError: there is no such place, it cannot be read or written to, or `latest`
            of the name is damaged.
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
    """Fetch the newest publication of a name; every md5 is checked.

    Args:
        url: where it was published.
        name: its name, or the key of a certain publication, `<md5>.dir`.
        cache: as for `fetch`.
        progress: as for `fetch`.
        moved: as for `fetch`.

    Returns:
        The folder that holds the files.

    Raises:
        SegError: as for `latest` and `fetch`.
    """
    key = name if name.endswith(".dir") else latest(url, name).key
    return fetch(key, url, cache=cache, progress=progress, moved=moved)


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
    return in_parallel(send, _large_first(missing), report=report)


def _large_first(entries: Iterable[Entry]) -> list[Entry]:
    """Large files first, so that none is transferred alone at the end."""
    return sorted(entries, key=lambda entry: -(entry.size or 0))
