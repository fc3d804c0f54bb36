"""The masks whose pixels were counted on this machine: kept in the cache, by md5.

So two versions of a dataset share what is equal in them, and so do all datasets. The
masks are spread over 256 records by the beginning of their md5; each is replaced whole,
and holds so many masks at most that all of them together stay below some 50 MB.
"""

import fcntl
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from seglib.data.image_io import MASK_DECODING
from seglib.data.versions.record import LARGEST_BYTES, Counts, MaskCounts, pack, unpack
from seglib.errors import SegError
from seglib.storage import cache_folder

MOST_MASKS = 4096  # of one record; the oldest make room


def read_kept(md5s: Iterable[str], cache: Path | None = None) -> dict[str, Counts]:
    """The counts of those of the masks that are known here."""
    folder, found = _folder(cache), dict[str, Counts]()
    for beginning, wanted in _by_beginning(md5s).items():
        known = _read(folder, beginning)
        found |= {md5: known[md5] for md5 in wanted & known.keys()}
    return found


def keep(counts: MaskCounts, cache: Path | None = None) -> None:
    """Add counts to those that are known here; others may do so at the same time.

    Raises:
        SegError: the cache cannot be written to.
    """
    if not counts:
        return
    folder = _folder(cache)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            for beginning, new in _by_beginning(counts).items():
                _add(folder, beginning, {md5: counts[md5] for md5 in sorted(new)})
    except OSError as error:
        raise SegError(
            f"{folder}: what was counted cannot be kept here ({error.strerror}). "
            "Choose another folder by the environment variable SEGLIB_CACHE."
        ) from error


def _folder(cache: Path | None) -> Path:
    return cache_folder(cache) / "class-counts" / str(MASK_DECODING)


def _by_beginning(md5s: Iterable[str]) -> Mapping[str, set[str]]:
    groups: dict[str, set[str]] = {}
    for md5 in md5s:
        groups.setdefault(md5[:2], set()).add(md5)
    return groups


def _read(folder: Path, beginning: str) -> dict[str, Counts]:
    """A record; one that is damaged knows nothing, and will be replaced."""
    path = folder / beginning
    try:
        if path.stat().st_size > LARGEST_BYTES:
            return {}
        return unpack(beginning, path.read_bytes())
    except (OSError, SegError):
        return {}


def _add(folder: Path, beginning: str, new: MaskCounts) -> None:
    known = _read(folder, beginning)
    if new.keys() <= known.keys():
        return
    known |= new
    newest = dict(islice(known.items(), max(0, len(known) - MOST_MASKS), None))
    part = folder / f"{beginning}.{uuid.uuid4().hex}.part"
    try:
        part.write_bytes(pack(beginning, newest))
        part.replace(folder / beginning)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait for others who add, and clear away what one left who was killed.

    Where the file system has no locks, one may undo what another added.
    """
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left in folder.glob("*.part"):
                left.unlink()
        yield
    finally:
        os.close(lock)
