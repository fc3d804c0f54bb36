"""Facts of files, cached by md5, so that a verification reads only what is new.

One SQLite file of the user's cache folder serves all datasets: versions of one share
most files, and a killed verification loses what it has not yet committed, at most the
last second. Facts of other code, other libraries or other limits are dropped with the
file, and so is a damaged one; a row with a wrong checksum is a miss.
"""

import json
import logging
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from seglib.code_version import code_digest
from seglib.data.file_formats import max_pixels
from seglib.data.verification.file_checks import Fault, FileFacts
from seglib.data.verification.objects import Objects
from seglib.data.verification.similarity import Appearance
from seglib.storage.files import cache_folder

logger = logging.getLogger(__name__)

_COMMIT_S = 1.0
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
    """CREATE TABLE contents (
        md5 TEXT, role TEXT, text TEXT, crc INTEGER, PRIMARY KEY (md5, role)
    ) WITHOUT ROWID""",
    """CREATE TABLE files (
        identity TEXT PRIMARY KEY, md5 TEXT, crc INTEGER
    ) WITHOUT ROWID""",
)


class FactsCache:
    """The cache; where it cannot be read or written, it is empty. Threads share it."""

    def __init__(self, folder: Path | None = None):
        self._lock = threading.Lock()
        self._contents: list[tuple[str, str, str, int]] = []  # not committed yet
        self._files: list[tuple[str, str, int]] = []
        self._committed_s = time.monotonic()
        self._path = cache_folder(folder) / "verification" / "facts.sqlite"
        self._db: sqlite3.Connection | None = None
        for _ in range(2):  # a damaged or older one is removed first
            with self._safely():
                self._db = self._db or self._open()

    def md5(self, identity: str) -> str:
        """The md5 of a known file's content, else ""."""
        query = "SELECT md5, crc FROM files WHERE identity = ?"
        return self._ask(query, identity) if identity else ""

    def text(self, md5: str, role: str) -> str:
        """What was stored of a content in a role, else ""."""
        query = "SELECT text, crc FROM contents WHERE md5 = ? AND role = ?"
        return self._ask(query, md5, role)

    def facts(self, md5: str, role: str) -> FileFacts | None:
        """The facts of a content in a role, if they are known."""
        text = self.text(md5, role) if md5 else ""
        return _from_text(text, md5) if text else None

    def store(self, md5: str, role: str, text: str, identity: str = "") -> None:
        """Store a text, and the identity of a file with this content."""
        with self._lock:
            self._contents.append((md5, role, text, _crc(md5, role, text)))
            if identity:
                self._files.append((identity, md5, _crc(identity, md5)))
            if time.monotonic() - self._committed_s >= _COMMIT_S:
                self._commit()

    def store_facts(self, facts: FileFacts, role: str, identity: str = "") -> None:
        """Store the facts of a content in a role."""
        self.store(facts.md5, role, _to_text(facts), identity)

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
        code = code_digest("seglib.data.verification.file_checks")
        version = f"{code} {max_pixels()}"
        db.execute("BEGIN IMMEDIATE")
        if not db.execute("SELECT 1 FROM sqlite_master").fetchone():
            for statement in _TABLES:
                db.execute(statement)
            db.execute("INSERT INTO version VALUES (?)", [version])
        db.execute("COMMIT")
        if db.execute("SELECT name FROM version").fetchall() != [(version,)]:
            raise sqlite3.DatabaseError("of another version")

    def _ask(self, query: str, *key: str) -> str:
        """What is stored under a key, if it is as it was written."""
        row = None
        with self._lock, self._safely():
            if self._db:
                row = self._db.execute(query, key).fetchone()
        return str(row[0]) if row and _crc(*key, str(row[0])) == row[1] else ""

    def _commit(self) -> None:
        """Write what is stored; other processes wait for milliseconds."""
        with self._safely():
            if self._db:
                insert = "INSERT OR REPLACE INTO"
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany(
                    f"{insert} contents VALUES (?, ?, ?, ?)", self._contents
                )
                self._db.executemany(f"{insert} files VALUES (?, ?, ?)", self._files)
                self._db.execute("COMMIT")
        self._contents, self._files = [], []
        self._committed_s = time.monotonic()

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
            if not isinstance(error, OSError) and _code(error) not in _HEALTHY:
                with suppress(OSError):
                    self._path.unlink()


def _code(error: Exception) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _crc(*texts: str) -> int:
    return zlib.crc32("\n".join(texts).encode())


def _to_text(facts: FileFacts) -> str:
    row = [
        facts.size_bytes,
        facts.size,
        facts.deepest,
        facts.orientation,
        facts.appearance,
        facts.reduced,
        list(facts.ids.items()),
        facts.ramps,
        facts.palette.hex(),
        facts.faults,
        _rows_of(facts.objects),
    ]
    return json.dumps(row, separators=(",", ":"))


def _rows_of(objects: dict[int, Objects] | None) -> dict[int, list[Any]] | None:
    if objects is None:
        return None
    return {index: each.to_row() for index, each in objects.items()}


def _from_text(text: str, md5: str) -> FileFacts:
    size_bytes, size, *rest = json.loads(text)
    deepest, orientation, appearance, reduced, ids, ramps, *rest = rest
    palette, faults, objects = rest
    return FileFacts(
        size_bytes=size_bytes,
        md5=md5,
        size=tuple(size),
        deepest=deepest,
        orientation=orientation,
        appearance=Appearance(*appearance),
        reduced=reduced,
        ids=dict(ids),
        ramps=ramps,
        palette=bytes.fromhex(palette),
        faults=tuple(Fault(*fault) for fault in faults),
        objects=None
        if objects is None
        else {int(key): Objects.of_row(row) for key, row in objects.items()},
    )
