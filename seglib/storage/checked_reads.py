"""Reads of objects by their md5, checked while the bytes arrive."""

import hashlib
from collections.abc import Callable
from threading import Event

from seglib.errors import SegError
from seglib.storage.backends.base import (
    CHUNK,
    BrokenOffError,
    MissingObjectError,
    Remote,
)
from seglib.storage.dvc.legacy import LegacyRemote, UnixDigest
from seglib.storage.parallel import TransferStopped

_BREAKS = 3  # of the connection, without a chunk between them
_READINGS = 2  # before an object counts as damaged, and not the way to it


def copy_checked(
    source: Remote,
    key: str,
    md5: str,
    *,
    write: Callable[[bytes], object],
    restart: Callable[[], object],
    stop: Event | None = None,
) -> str:
    """Read an object, check its md5 and pass its bytes on.

    Args:
        source: where it is.
        key: under which it is there.
        md5: that it must have.
        write: gets the bytes, in order.
        restart: called before the bytes come once more, from the first on.
        stop: once it is set, reading ends.

    Returns:
        What is wrong with the object; "" if nothing is, and all bytes were written.

    Raises:
        TransferStopped: `stop` was set.
        SegError: the remote cannot be reached, refuses, or breaks off again and again.
    """
    for reading in range(_READINGS):
        if reading:
            restart()
        try:
            received = _read(source, key, write, stop)
        except MissingObjectError:
            return (
                f"{source.name(key)} is missing. `dvc push` from a machine that has "
                "the data brings it back."
            )
        if received == md5:
            return ""
    return (
        f"{source.name(key)} is damaged. Expected md5: {md5}. Received: {received}. "
        "Delete the object and `dvc push` from a machine that has the data."
    )


def new_digest(*, is_legacy: bool) -> "hashlib._Hash | UnixDigest":
    """A digest of the md5 under which DVC 3, or DVC 2, stores some bytes."""
    return UnixDigest() if is_legacy else hashlib.md5(usedforsecurity=False)


def _read(
    source: Remote, key: str, write: Callable[[bytes], object], stop: Event | None
) -> str:
    """Read an object and return its md5; resumes after a broken connection."""
    digest = new_digest(is_legacy=isinstance(source, LegacyRemote))
    done = breaks = 0
    while True:
        before = done
        try:
            for chunk in source.chunks(key, start=done):
                if stop and stop.is_set():
                    raise TransferStopped
                digest.update(chunk)
                write(chunk)
                done += len(chunk)
        except BrokenOffError as error:
            breaks = 1 if done - before >= CHUNK else breaks + 1
            if breaks == _BREAKS:
                raise SegError(
                    f"{source.name(key)}: the connection broke off {breaks} times "
                    f"({error}). Try again; what has been fetched is kept."
                ) from error
        else:
            return digest.hexdigest()
