"""Whether a place on S3 can be read and written, by a probe object: S260 … S263."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.preflight.around.looking import Seen
from pipeline.preflight.findings import FoundError
from seglib.errors import SegError
from seglib.storage.backends import ChangedObjectError, MissingObjectError, Remote
from seglib.storage.remotes import open_remote

_CONTENT = b"written by `python -m pipeline doctor`; may be deleted\n"


def check_store(url: str) -> Seen:
    """Write, read, write again on condition, and delete an object of its own."""
    where, key = f"store {url}", f".doctor-{uuid.uuid4()}"
    with _found("S260", where):
        remote = open_remote(url)
        remote.sizes([key])
    with _found("S261", where):
        remote.write(key, _CONTENT)
    findings = []
    for check in (_check_reading, _check_conditions, _check_deletion):
        try:
            check(remote, key, where)
        except FoundError as error:
            findings.append(error.finding)
    yield from findings
    if not findings:
        yield f"{where}: written, read, compared, deleted"


def _check_reading(remote: Remote, key: str, where: str) -> None:
    try:
        with _found("S260", where):
            content = remote.read(key).content
    except MissingObjectError:
        what = "an object that was written is not there"
        raise FoundError("S260", where, what) from None
    if content != _CONTENT:
        raise FoundError("S260", where, "it returns other bytes than were written")


def _check_conditions(remote: Remote, key: str, where: str) -> None:
    try:
        remote.write(key, _CONTENT, if_absent=True)
    except ChangedObjectError:
        return  # the right answer: there is one
    except SegError as error:
        absent = "does not know conditional" in str(error)
        raise _from(error, "S262" if absent else "S261", where) from error
    raise FoundError("S262", where, "it replaced an object in spite of If-None-Match")


def _check_deletion(remote: Remote, key: str, where: str) -> None:
    with _found("S263", where):
        remote.delete(key)
        left = remote.sizes([key])
    if left:
        what = f"{remote.name(key)} is still there after it was deleted"
        raise FoundError("S263", where, what)


@contextmanager
def _found(code: str, where: str) -> Iterator[None]:
    """Within it, an error of the store is a finding."""
    try:
        yield
    except SegError as error:
        raise _from(error, code, where) from error


def _from(error: SegError, code: str, where: str) -> FoundError:
    return FoundError(code, where, str(error).rstrip("."))
