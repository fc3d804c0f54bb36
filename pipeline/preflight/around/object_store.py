"""Whether a place on S3 can be read and written, by a probe object: S260 … S263."""

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.preflight.around.looking import Seen
from pipeline.preflight.findings import Finding
from seglib.errors import SegError

if TYPE_CHECKING:
    from seglib.storage import Remote

_CONTENT = b"written by `python -m pipeline doctor`; may be deleted\n"


def check_store(url: str) -> Seen:
    """Write, read, compare and delete an object of its own."""
    from seglib.storage import open_remote

    where, key = f"store {url}", f".doctor-{uuid.uuid4()}"
    try:
        remote = open_remote(url)
        remote.sizes([key])
    except SegError as error:
        return Seen((_finding("S260", where, error),))
    try:
        remote.write(key, _CONTENT)
    except SegError as error:
        return Seen((_finding("S261", where, error),))
    findings = [
        *_check_reading(remote, key, where),
        *_check_conditions(remote, key, where),
        *_check_deletion(remote, key, where),
    ]
    notes = () if findings else (f"{where}: written, read, compared, deleted",)
    return Seen(tuple(findings), notes)


def _check_reading(remote: "Remote", key: str, where: str) -> Iterator[Finding]:
    from seglib.storage import MissingObjectError

    try:
        is_same = remote.read(key).content == _CONTENT
    except SegError as error:
        yield _finding("S260", where, error)
    except MissingObjectError:
        what = "an object that was written is not there"
        yield Finding(code="S260", where=where, what=what)
    else:
        if not is_same:
            what = "it gives back something else than was written"
            yield Finding(code="S260", where=where, what=what)


def _check_conditions(remote: "Remote", key: str, where: str) -> Iterator[Finding]:
    from seglib.storage import ChangedObjectError

    try:
        remote.write(key, _CONTENT, if_absent=True)
    except ChangedObjectError:
        return  # as it must be: there is one
    except SegError as error:
        is_condition = "does not know conditional" in str(error)
        yield _finding("S262" if is_condition else "S261", where, error)
    else:
        what = "it wrote over an object in spite of If-None-Match"
        yield Finding(code="S262", where=where, what=what)


def _check_deletion(remote: "Remote", key: str, where: str) -> Iterator[Finding]:
    try:
        remote.delete(key)
        if remote.sizes([key]):
            what = f"{remote.name(key)} is still there after it was deleted"
            yield Finding(code="S263", where=where, what=what)
    except SegError as error:
        yield _finding("S263", where, error)


def _finding(code: str, where: str, error: SegError) -> Finding:
    return Finding(code=code, where=where, what=str(error).rstrip("."))
