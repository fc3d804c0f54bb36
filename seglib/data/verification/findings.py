"""Findings of a dataset, however many: sorted on disk, and read one by one."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import overload

from seglib.data.problems import IGNORE, Problem

_FIELDS = "path, reason, remedy, kind, severity"
_TABLE = f"CREATE TABLE findings (place BLOB, {_FIELDS})"  # a text as its bytes
_ERRORS = "surrogatepass"  # of file names that are no UTF-8


class FindingStore:
    """All findings of a verification, in a temporary file that SQLite removes."""

    def __init__(self, severities: Mapping[str, str] | None = None):
        """Of kinds, with another severity than the usual one."""
        self._severities = dict(severities or {})
        # Small ones stay in memory. Threads take turns: SQLite sees to that.
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute(_TABLE)
        self._db.execute("BEGIN")
        self.found: Counter[tuple[str, str]] = Counter()  # kind, usual severity
        self.told: Counter[tuple[str, str]] = Counter()  # kind, the severity it has

    def add(self, problems: Iterable[Problem]) -> None:
        """Add findings."""
        self._db.executemany(
            "INSERT INTO findings VALUES (?, ?, ?, ?, ?, ?)", self._rows(problems)
        )

    def of(self, severity: str) -> "Findings":
        """Those of a severity."""
        count = sum(n for (_, level), n in self.told.items() if level == severity)
        return Findings(self._db, severity, count)

    def copy(self) -> "FindingStore":
        """The same findings in another store, to which more can be added."""
        store = FindingStore(self._severities)
        store._db.executemany(
            "INSERT INTO findings VALUES (?, ?, ?, ?, ?, ?)",
            self._db.cursor().execute("SELECT * FROM findings"),
        )
        store.found, store.told = self.found.copy(), self.told.copy()
        return store

    def _rows(self, problems: Iterable[Problem]) -> Iterator[tuple[bytes, ...]]:
        for each in problems:
            self.found[each.kind, each.severity] += 1
            severity = self._severities.get(each.kind, each.severity)
            if severity == IGNORE:
                continue
            self.told[each.kind, severity] += 1
            fields = (str(each.path), each.reason, each.remedy, each.kind, severity)
            path, *others = (field.encode(errors=_ERRORS) for field in fields)
            # As paths are sorted: part by part.
            yield path.replace(b"/", b"\0"), path, *others


class Findings(Sequence[Problem]):
    """The findings of one severity, sorted as `Problem` is; each is made when asked."""

    def __init__(self, db: sqlite3.Connection, severity: str, count: int):
        self._db, self._severity, self._count = db, severity.encode(), count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Problem]:
        return self._read("")

    @overload
    def __getitem__(self, index: int) -> Problem: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Problem]: ...
    def __getitem__(self, index: int | slice) -> Problem | Sequence[Problem]:
        if isinstance(index, slice):
            start, stop, step = index.indices(self._count)
            if step < 0:
                return [*self][index]
            return [*self._read(f"LIMIT {max(0, stop - start)} OFFSET {start}")][::step]
        return next(self._read(f"LIMIT 1 OFFSET {range(self._count)[index]}"))

    def _read(self, limit: str) -> Iterator[Problem]:
        query = (
            f"SELECT {_FIELDS} FROM findings WHERE severity = ?"
            f" ORDER BY place, reason, remedy, kind {limit}"
        )
        for row in self._db.cursor().execute(query, [self._severity]):
            path, *others = (field.decode(errors=_ERRORS) for field in row)
            yield Problem(Path(path), *others)
