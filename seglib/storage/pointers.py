"""Pointers to the newest publication of a name: `published/NAME/latest.json`."""

import json
import logging
import random
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta

from seglib.errors import SegError, UsageError
from seglib.storage.backends import ChangedObjectError, MissingObjectError, Remote
from seglib.storage.documents import parse_json
from seglib.storage.hashes import require_hash
from seglib.storage.remotes import open_remote

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*", re.ASCII)
_ATTEMPTS = 12  # to move a pointer that others move, too
_PAUSE_S = 0.05  # before the second attempt; doubles, up to 3 s
_STEP = timedelta(microseconds=1)  # between two publications of a name, at least
_SKEW = timedelta(hours=1)  # of two clocks, of which nothing is said

logger = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class Pointer:
    """The content of `latest`. Of two, the greater one is newer.

    Raises:
        ValueError: a time that is none, or before 1970.
        OverflowError: a time that is beyond all calendars in UTC.
    """

    time: str  # UTC: when it began, by its publisher's clock, or right after the last
    key: str  # `<md5>.dir`
    name: str

    def __post_init__(self) -> None:
        moment = datetime.fromisoformat(self.time)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        text = _text(moment.astimezone(UTC))
        if text < "1970":
            raise ValueError(f"the time {self.time} is before 1970")
        object.__setattr__(self, "time", text)

    @property
    def moment(self) -> datetime:
        """Its time. Each of a name is after the one before it."""
        return datetime.fromisoformat(self.time)

    def after(self, other: "Pointer", remote: Remote) -> "Pointer":
        """This one, with a time after that of the other, which the remote has."""
        if self.time > other.time:
            return self
        try:
            return replace(self, time=_text(other.moment + _STEP))
        except OverflowError as error:
            raise SegError(
                f"{remote.name(pointer_key(other.name))}: dated {other.time}, after "
                "which there is no time. Delete this object, and publish again."
            ) from error


def latest(url: str, name: str) -> Pointer:
    """The newest publication of a name; without one, a SegError."""
    remote = open_remote(url)
    found, _ = _read(remote, name)
    if found is None:
        raise SegError(
            f"{remote.name(pointer_key(name))} is missing: nothing was published "
            f"under the name {name}. `seglib publish FOLDER {url} --name {name}` does."
        )
    return found


def begin(remote: Remote, name: str) -> Pointer:
    """The pointer of a publication that begins now.

    Clocks differ, so its time is made later than that of the present `latest`.
    """
    found, _ = _read(remote, name)
    pointer = Pointer(_text(datetime.now(UTC)), "", name)
    if not found:
        return pointer
    if found.moment > pointer.moment + _SKEW:
        logger.warning(
            "%s is dated %s, which the clock here has not reached. What is published "
            "now is dated right after it.",
            remote.name(pointer_key(name)),
            found.time,
        )
    return pointer.after(found, remote)


def move_latest(remote: Remote, pointer: Pointer) -> Pointer:
    """Move `latest` to this publication, unless a later one is there.

    Every move is conditional on the pointer that was read, so concurrent publications
    never replace a newer one by an older one. Returns the pointer that is there then.
    """
    return _move(remote, pointer, stays=lambda found: found.time > pointer.time)


def set_latest(url: str, name: str, key: str) -> Pointer:
    """Move `latest` even to an older publication, dated after the one before."""
    remote = open_remote(url, create=True)
    pointer = Pointer(_text(datetime.now(UTC)), require_hash(key), name)
    return _move(remote, pointer, stays=lambda found: found.key == key)


def pointer_key(name: str) -> str:
    """The key of a name's pointer; a UsageError for a name that cannot be one."""
    if not _NAME.fullmatch(name) or name.endswith(".dir"):
        raise UsageError(
            f"`name` must be of letters, digits, `_`, `-`, `.` and `/`, and not end in "
            f".dir. Received: name={name!r}."
        )
    return f"published/{name}/latest.json"


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds")


def _move(
    remote: Remote, pointer: Pointer, *, stays: Callable[[Pointer], bool]
) -> Pointer:
    """Write the pointer, dated after the present one, unless that one stays."""
    key = pointer_key(pointer.name)
    for attempt in range(_ATTEMPTS):
        found, etag = _read(remote, pointer.name)
        # It is the same after a move whose answer was lost on the way.
        if found and (found == pointer or stays(found)):
            return found
        wanted = pointer.after(found, remote) if found else pointer
        content = json.dumps(asdict(wanted), indent=1).encode() + b"\n"
        try:
            remote.write(key, content, if_absent=not found, if_match=etag)
        except ChangedObjectError:
            time.sleep(min(3.0, _PAUSE_S * 2**attempt) * random.random())
        else:
            return wanted
    raise SegError(
        f"{remote.name(key)}: others moved it {_ATTEMPTS} times in a row. The files "
        f"are published as {pointer.key}; publish again to move it."
    )


def _read(remote: Remote, name: str) -> tuple[Pointer | None, str | None]:
    """The pointer and its etag; None where there is none."""
    key = pointer_key(name)
    try:
        content, etag = remote.read(key)
    except MissingObjectError:
        return None, None
    try:
        pointer = Pointer(**parse_json(content, name=key))
        require_hash(pointer.key)
    except (ValueError, TypeError, OverflowError) as error:
        raise SegError(
            f"{remote.name(key)}: not a pointer to a publication: {error}. Expected "
            "JSON with time, key and name. Delete it and publish again."
        ) from error
    return pointer, etag
