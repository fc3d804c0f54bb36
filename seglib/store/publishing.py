"""Finished folders on a remote, under the hash of their content, and a `latest`.

A folder is published in DVC's own layout: each file under its md5, and last of all the
listing, whose md5 is the folder's key. So a key that can be read names a folder that is
whole; `fetch` reads it back, every byte checked; and what is there already is not sent
again. `published/NAME/latest.json` says which key is the newest of its name.
"""

import json
import random
import re
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

from seglib.errors import SegError, UsageError
from seglib.store.fetching import fetch
from seglib.store.folders import Entry, hash_entries, list_folder, listing
from seglib.store.objects import (
    ChangedObjectError,
    MissingObjectError,
    Moved,
    Remote,
    object_key,
)
from seglib.store.parallel import Progress, in_parallel
from seglib.store.pins import require_hash
from seglib.store.remotes import open_remote

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*", re.ASCII)
_ATTEMPTS = 12  # to move a pointer that others move, too
_PAUSE_S = 0.05  # before the second attempt; doubles, up to 3 s


@dataclass(frozen=True, order=True)
class Pointer:
    """What `latest` says. Of two, the greater one is newer."""

    time: str  # when the publication began, UTC, by the publisher's clock
    key: str  # `<md5>.dir`
    name: str


@dataclass(frozen=True)
class Published:
    """What became of a publication."""

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
        _pointer_key(name)
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    entries = list_folder(folder)
    if not entries:
        raise SegError(f"{folder}: holds no files. There is nothing to publish.")
    remote = open_remote(url, create=True)
    sent = _send(remote, Path(folder), entries, progress, moved)
    key = hash_entries(entries)
    content = listing(entries)
    if remote.sizes([object_key(key)]).get(object_key(key)) != len(content):
        remote.write(object_key(key), content)
    latest = move_latest(remote, Pointer(now, key, name)) if name else None
    return Published(
        key=key,
        num_files=len(entries),
        sent_files=len(sent),
        sent_bytes=sum(sent),
        latest=latest,
    )


def latest(url: str, name: str) -> Pointer:
    """The newest publication of a name.

    Raises:
        SegError: there is none, or its pointer is damaged; or the remote cannot be
            read.
    """
    remote = open_remote(url)
    found = _read_pointer(remote, name)
    if found is None:
        raise SegError(
            f"{remote.name(_pointer_key(name))} is missing: nothing was published "
            f"under the name {name}. `seglib publish FOLDER {url} --name {name}` does."
        )
    return found[0]


def fetch_published(
    url: str,
    name: str,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
    moved: Moved | None = None,
) -> Path:
    """Bring the newest publication of a name onto this machine, every md5 checked.

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


def move_latest(remote: Remote, pointer: Pointer) -> Pointer:
    """Let `latest` be this publication, unless it is a later one already.

    However many do this at once: every move is from a state that its mover has seen,
    and an older publication never takes the place of a newer one.

    Returns:
        The pointer as it is afterwards: the one given, or a later one.

    Raises:
        SegError: the remote cannot be written to, or too many others move it.
    """
    key = _pointer_key(pointer.name)
    content = json.dumps(asdict(pointer), indent=1).encode() + b"\n"
    for attempt in range(_ATTEMPTS):
        found = _read_pointer(remote, pointer.name)
        if found and found[0] >= pointer:
            return found[0]  # also after a move whose answer was lost on the way
        try:
            if found:
                remote.write(key, content, if_match=found[1])
            else:
                remote.write(key, content, if_absent=True)
        except ChangedObjectError:
            time.sleep(min(3.0, _PAUSE_S * 2**attempt) * random.random())
        else:
            return pointer
    raise SegError(
        f"{remote.name(key)}: others moved it {_ATTEMPTS} times in a row. The files "
        f"are published as {pointer.key}; publish again to move it."
    )


def _send(
    remote: Remote,
    folder: Path,
    entries: tuple[Entry, ...],
    progress: Progress | None,
    moved: Moved | None,
) -> list[int]:
    """Send what the remote lacks; returns the sizes of what was sent."""
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
    """So that no large file is left alone at the end."""
    return sorted(entries, key=lambda entry: -(entry.size or 0))


def _read_pointer(remote: Remote, name: str) -> tuple[Pointer, str] | None:
    """The pointer and its etag; None where there is none."""
    key = _pointer_key(name)
    try:
        content, etag = remote.read(key)
    except MissingObjectError:
        return None
    try:
        pointer = Pointer(**json.loads(content))
        datetime.fromisoformat(pointer.time)
        require_hash(pointer.key)
    except (ValueError, TypeError) as error:
        raise SegError(
            f"{remote.name(key)}: not a pointer to a publication: {error}. Expected "
            "JSON with time, key and name. Delete it and publish again."
        ) from error
    return pointer, etag


def _pointer_key(name: str) -> str:
    if not _NAME.fullmatch(name) or name.endswith(".dir"):
        raise UsageError(
            f"`name` must be of letters, digits, `_`, `-`, `.` and `/`, and not end in "
            f".dir. Received: name={name!r}."
        )
    return f"published/{name}/latest.json"
