"""Transfers of objects: several at once, and reads that are checked."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from threading import Event
from typing import BinaryIO, TypeVar

from seglib.errors import SegError
from seglib.storage.backends import (
    CHUNK,
    THREADS,
    BrokenOffError,
    MissingObjectError,
    Moved,
    Remote,
    object_key,
)
from seglib.storage.hashes import new_digest

_TICK_S = 0.2  # between two reports of progress
_BREAKS = 3  # of the connection, without a chunk between them
_READINGS = 2  # before an object counts as damaged, and not the way to it

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[int, int], None]  # done, total


def in_parallel(
    do: Callable[[Item, Event], Result],
    items: Iterable[Item],
    *,
    report: Callable[[list[Result]], None],
) -> list[Result]:
    """Call a function for every item, in `THREADS` threads.

    Args:
        do: gets an item, and an event that is set once its work is of no more use.
        items: in the order in which they are begun.
        report: called with the results so far, every now and then and at the end.

    Returns:
        The results, in the order in which they came.

    Raises:
        Exception: the first that `do` raised; what was under way has ended by then.
    """
    listed, results = list(items), list[Result]()
    stop, failures = Event(), list[BaseException]()
    remaining = iter(listed)

    def work() -> None:
        for item in remaining:
            if stop.is_set():
                return
            try:
                results.append(do(item, stop))
            except BaseException as error:  # noqa: BLE001 - raised again by the caller
                failures.append(error)
                stop.set()

    with ThreadPoolExecutor(THREADS, thread_name_prefix="transfer") as pool:
        try:
            pending = {pool.submit(work) for _ in range(min(THREADS, len(listed)))}
            while pending:
                _, pending = wait(pending, timeout=_TICK_S)
                report(results)
        finally:
            stop.set()
    if failures:
        raise failures[0]
    return results


def copy_checked(
    source: Remote,
    md5: str,
    out: BinaryIO,
    *,
    is_legacy: bool = False,
    max_bytes: int | None = None,
    moved: Moved | None = None,
    stop: Event | None = None,
) -> str:
    """Copy an object into an empty file, and check its md5.

    Args:
        source: the remote.
        md5: of the object, whose key it is.
        out: gets the bytes.
        is_legacy: read DVC 2's layout.
        max_bytes: of the object.
        moved: called with the bytes of each piece that has come.
        stop: once it is set, reading ends.

    Returns:
        What is wrong with the object; "" if nothing is, and all bytes were written.

    Raises:
        CancelledError: `stop` was set.
        SegError: the remote cannot be reached, refuses, or breaks off again and again;
            or the object is too large.
    """
    key, expected = object_key(md5, is_legacy=is_legacy), md5.removesuffix(".dir")
    for _ in range(_READINGS):
        out.truncate(out.seek(0))
        digest = new_digest(is_legacy=is_legacy)
        try:
            for chunk in resumed(source, key):
                if stop and stop.is_set():
                    raise CancelledError
                digest.update(chunk)
                out.write(chunk)
                if moved:
                    moved(len(chunk))
                if max_bytes is not None and out.tell() > max_bytes:
                    reason = f"more than {max_bytes:,} bytes."
                    raise SegError(f"{source.name(key)}: {reason}")
        except MissingObjectError:
            return (
                f"{source.name(key)} is missing. `dvc push` from a machine that has "
                "the data brings it back."
            )
        received = digest.hexdigest()
        if received == expected:
            return ""
    return (
        f"{source.name(key)} is damaged. Expected md5: {expected}. Received: "
        f"{received}. Delete the object and `dvc push` from a machine that has the "
        "data."
    )


def resumed(source: Remote, key: str) -> Iterator[bytes]:
    """The object's bytes, over as many connections as it takes."""
    done = breaks = 0
    while True:
        before = done
        try:
            for chunk in source.chunks(key, start=done):
                done += len(chunk)
                yield chunk
        except BrokenOffError as error:
            breaks = 1 if done - before >= CHUNK else breaks + 1
            if breaks == _BREAKS:
                raise SegError(
                    f"{source.name(key)}: the connection broke off {breaks} times "
                    f"({error}). Try again; what has been fetched is kept."
                ) from error
        else:
            return
