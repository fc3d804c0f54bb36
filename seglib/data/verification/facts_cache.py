"""Facts of files, cached by md5, so that a verification reads only what is new.

One SQLite file of the user's cache folder serves all datasets: versions of one share
most files, and a killed verification loses what it has not yet committed, at most the
last second. Facts of other code, other libraries or other limits are dropped with the
file, and so is a damaged one; a row with a wrong checksum is a miss. Beyond a limit of
size, the oldest quarter of the rows goes.
"""

import functools
import logging
import sqlite3
import threading
import time
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from seglib.code_version import code_digest
from seglib.data.file_formats import max_pixels
from seglib.storage.files import cache_folder

logger = logging.getLogger(__name__)

_COMMIT_S = 1.0
_MOST_BYTES = 4 << 30  # of 12 million files
_AT_ONCE = 100  # rows that one query asks for
_HEALTHY = (  # a file that is locked, on a full disk, or not ours to write
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
)
_TABLES = (
    "CREATE TABLE version (name TEXT)",
    # An INTEGER PRIMARY KEY tells the oldest rows.
    """CREATE TABLE contents (
        age INTEGER PRIMARY KEY, md5 BLOB, role TEXT, facts BLOB, crc INTEGER,
        UNIQUE (md5, role)
    )""",
    """CREATE TABLE files (
        age INTEGER PRIMARY KEY, identity TEXT UNIQUE, md5 BLOB, crc INTEGER
    )""",
)


class FactsCache:
    """The cache; where it cannot be read or written, it is empty. Threads share it."""

    def __init__(self, folder: Path | None = None):
        self._lock = threading.Lock()
        self._contents: list[tuple[bytes, str, bytes, int]] = []  # not committed yet
        self._files: list[tuple[str, bytes, int]] = []
        self._committed_s = time.monotonic()
        self._path = cache_folder(folder) / "verification" / "facts.sqlite"
        self._db: sqlite3.Connection | None = None
        for _ in range(2):  # a damaged or older one is removed first
            with self._safely():
                self._db = self._db or self._open()

    def md5s(self, identities: Sequence[str]) -> dict[str, bytes]:
        """The md5 of the content of each known file."""
        query = (
            "SELECT CAST(identity AS TEXT), CAST(md5 AS BLOB), crc"
            " FROM files WHERE identity IN"
        )
        return {
            identity: md5
            for identity, md5, crc in self._ask(query, [i for i in identities if i])
            if _crc(identity, md5) == crc
        }

    def facts(
        self, keys: Sequence[tuple[bytes, str]]
    ) -> dict[tuple[bytes, str], bytes]:
        """What was stored of each known content in a role."""
        query = (
            "SELECT CAST(md5 AS BLOB), CAST(role AS TEXT), CAST(facts AS BLOB), crc"
            " FROM contents WHERE md5 IN"
        )
        wanted = {key for key in keys if key[0]}
        return {
            (md5, role): facts
            for md5, role, facts, crc in self._ask(query, {md5 for md5, _ in wanted})
            if (md5, role) in wanted and _crc(role, md5, facts) == crc
        }

    def store(
        self,
        contents: Sequence[tuple[bytes, str, bytes]],
        files: Sequence[tuple[str, bytes]],
    ) -> None:
        """Store (md5, role, facts) of contents, and (identity, md5) of files."""
        with self._lock:
            self._contents += (
                (md5, role, facts, _crc(role, md5, facts))
                for md5, role, facts in contents
            )
            self._files += (
                (identity, md5, _crc(identity, md5)) for identity, md5 in files
            )
            if time.monotonic() - self._committed_s >= _COMMIT_S:
                self._commit()

    def close(self) -> None:
        """Commit what is stored."""
        with self._lock, self._safely():
            self._commit()
            if self._db:
                self._db.close()
            self._db = None

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        try:
            self._set_up(db)
        except BaseException:
            db.close()
            raise
        return db

    def _set_up(self, db: sqlite3.Connection) -> None:
        db.text_factory = lambda text: text.decode(errors="replace")
        db.execute("PRAGMA synchronous = OFF")  # a power failure may damage it
        db.execute("PRAGMA cache_size = -32000")  # KiB
        version = f"{_code()} {max_pixels()}"
        db.execute("BEGIN IMMEDIATE")
        if not db.execute("SELECT 1 FROM sqlite_master").fetchone():
            for statement in _TABLES:
                db.execute(statement)
            db.execute("INSERT INTO version VALUES (?)", [version])
        db.execute("COMMIT")
        if db.execute("SELECT name FROM version").fetchall() != [(version,)]:
            raise sqlite3.DatabaseError("of another version")

    def _ask(self, query: str, keys: Collection[object]) -> list[tuple[Any, ...]]:
        """The rows of some keys."""
        rows: list[tuple[Any, ...]] = []
        listed = [*keys]
        with self._lock, self._safely():
            for start in range(0, len(listed), _AT_ONCE):
                some = listed[start : start + _AT_ONCE]
                if self._db:
                    marks = ", ".join("?" * len(some))
                    rows += self._db.execute(f"{query} ({marks})", some)
        return [row for row in rows if None not in row]

    def _commit(self) -> None:
        """Write what is stored; other processes wait for milliseconds."""
        with self._safely():
            if self._db:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany(
                    "INSERT OR REPLACE INTO contents (md5, role, facts, crc)"
                    " VALUES (?, ?, ?, ?)",
                    self._contents,
                )
                self._db.executemany(
                    "INSERT OR REPLACE INTO files (identity, md5, crc)"
                    " VALUES (?, ?, ?)",
                    self._files,
                )
                self._forget(self._db)
                self._db.execute("COMMIT")
        self._contents, self._files = [], []
        self._committed_s = time.monotonic()

    @staticmethod
    def _forget(db: sqlite3.Connection) -> None:
        """Remove the oldest rows, if the file has become too large."""
        pages, free, size = (
            db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        if (pages - free) * size > _MOST_BYTES:
            for table in ("contents", "files"):
                oldest = "min(age) + (max(age) - min(age)) / 4"
                db.execute(
                    f"DELETE FROM {table} WHERE age <= (SELECT {oldest} FROM {table})"
                )

    @contextmanager
    def _safely(self) -> Iterator[None]:
        """Go on without the cache if it fails, and remove it if it is damaged."""
        try:
            yield
        except (OSError, UnicodeError, sqlite3.Error) as error:  # a message's text, too
            logger.debug("%s: not used: %s", self._path, error)
            if self._db:
                self._db.close()
            self._db = None
            if not isinstance(error, OSError) and _reason(error) not in _HEALTHY:
                with suppress(OSError):
                    self._path.unlink()


@functools.cache
def _code() -> str:
    return code_digest("seglib.data.verification.packing")


def _reason(error: Exception) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _crc(text: str, *parts: bytes) -> int:
    encoded = text.encode(errors="backslashreplace")
    return zlib.crc32(b"\n".join((encoded, *parts)))
