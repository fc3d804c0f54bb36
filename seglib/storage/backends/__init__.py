"""The interface of remotes: read, write, list and swap objects under keys."""

from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from seglib.errors import SegError

OBJECTS = "files/md5"
THREADS = 16  # at once, for one dataset
CHUNK = 1 << 20  # bytes

Moved = Callable[[int], None]  # gets a number of bytes, from any thread


class Stored(NamedTuple):
    """A small object as it was read; `etag` stands for exactly this content."""

    content: bytes
    etag: str


class Listed(NamedTuple):
    """An object of a list."""

    key: str
    size_bytes: int
    modified_s: float  # since 1970
    etag: str = ""  # stands for its content, where the store tells it


class MissingObjectError(Exception):
    """There is no such object."""


class BrokenOffError(Exception):
    """The connection ended before the object did."""


class ChangedObjectError(Exception):
    """A conditional write failed: another writer changed the object first."""


class Remote(Protocol):
    """A store of objects under keys such as `files/md5/ab/cdef…`.

    All methods raise a SegError if the store cannot be reached, refuses, or is full.
    """

    def name(self, key: str) -> str:
        """The object's address, for messages."""

    def chunks(self, key: str, *, start: int = 0) -> Iterator[bytes]:
        """The object's bytes, from the `start`-th on.

        Raises:
            MissingObjectError: there is no such object.
            BrokenOffError: the connection ended before the object did.
        """

    def small(self, keys: Iterable[str]) -> Iterator[tuple[str, bytearray]]:
        """Read many small objects quickly: key and content, in any order.

        Objects that are large, missing or fail are left out; use `chunks` for them.
        """

    def read(self, key: str) -> Stored:
        """A small object, whole.

        Raises:
            MissingObjectError: there is no such object.
        """

    def write(
        self,
        key: str,
        source: bytes | Path,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
        md5: str | None = None,
        moved: Moved | None = None,
    ) -> None:
        """Store an object atomically.

        Args:
            key: under which it is found again.
            source: its bytes, or the file that holds them, of any size.
            if_absent: only if there is no such object yet.
            if_match: only if the object is still the one with this etag.
            md5: of the bytes; a file that was changed since then is not stored.
            moved: called with the bytes of each piece that has been sent.

        Raises:
            ChangedObjectError: the condition does not hold; nothing was written.
            SegError: also if the store does not know conditions, or `source` cannot be
                read or is not what `md5` says.
        """

    def delete(self, key: str) -> None:
        """Remove an object; a missing one is no error."""

    def sizes(self, keys: Collection[str]) -> dict[str, int]:
        """The sizes in bytes of the objects that exist; nothing is read."""

    def objects(self, start: str) -> Iterator[Listed]:
        """All objects whose key begins so; `start` ends with /, or is empty."""

    def require_writable(self) -> None:
        """Raise a SegError unless objects can be written; none is left there."""


def require_same(source: bytes | Path, *, expected: str | None, received: str) -> None:
    """Raise a SegError unless content about to be stored has the expected md5."""
    if expected not in (None, received):
        name = source if isinstance(source, Path) else "the content"
        raise SegError(
            f"{name}: changed while it was read. Expected md5: {expected}. Received: "
            f"{received}. Try again once nobody writes to it."
        )


def object_key(md5: str, *, is_legacy: bool = False) -> str:
    """The key of the bytes with this md5, or of a folder's listing: `<md5>.dir`.

    DVC 2 (`is_legacy`) had no folder `files/md5`.
    """
    return ("" if is_legacy else f"{OBJECTS}/") + f"{md5[:2]}/{md5[2:]}"
