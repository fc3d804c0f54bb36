"""Whether a place on S3 can be read and written, by a probe object: S260 … S263."""

import uuid

from pipeline.preflight.findings import Finding
from pipeline.preflight.looking import Seen
from seglib.errors import SegError
from seglib.storage.backends import ChangedObjectError, Remote
from seglib.storage.remotes import open_remote

_CONTENT = b"written by `python -m pipeline doctor`; may be deleted\n"


def check_store(url: str) -> Seen:
    """Write, read, write again on condition, and delete an object of its own."""
    where, key = f"store {url}", f".doctor-{uuid.uuid4()}"
    code = "S260"
    try:
        remote = open_remote(url)
        remote.sizes([key])
        code = "S261"
        remote.write(key, _CONTENT)
    except SegError as error:
        yield Finding(code, where, str(error).rstrip("."))
        return
    findings: list[Finding | str] = []
    for own, check in (("S260", _read), ("S262", _replace), ("S263", _delete)):
        code = own
        try:
            what = check(remote, key)
        except SegError as error:
            what = str(error).rstrip(".")
            if own == "S262" and "does not know conditional" not in what:
                code = "S261"
        findings += [Finding(code, where, what)] if what else []
    yield from findings or [f"{where}: written, read, compared, deleted"]


def _read(remote: Remote, key: str) -> str:
    is_same = remote.read(key).content == _CONTENT
    return "" if is_same else "it returns other bytes than were written"


def _replace(remote: Remote, key: str) -> str:
    try:
        remote.write(key, _CONTENT, if_absent=True)
    except ChangedObjectError:
        return ""  # the right answer: there is one
    return "it replaced an object in spite of If-None-Match"


def _delete(remote: Remote, key: str) -> str:
    remote.delete(key)
    is_left = remote.sizes([key])
    return f"{remote.name(key)} is still there after it was deleted" if is_left else ""
