"""MLflow's SQLite store: made beside its place, and moved there when it is whole.

MLflow makes a store in place, in 40 steps that take 10 seconds, and cannot open a store
whose making was interrupted. Its last step is the first experiment: a store without
experiments is unfinished and holds nothing.
"""

import glob
import logging
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from seglib.errors import SegError
from seglib.storage.atomic_write import file_lock

SQLITE = "sqlite:///"
_BESIDE = ("", "-journal", "-wal", "-shm")  # what SQLite keeps beside a file is its own
_LONGEST_WAIT_S = 20.0  # for another process's lock

logger = logging.getLogger(__name__)


def path_of(uri: str) -> Path | None:
    """The file of an SQLite store; None: it is another store."""
    if not uri.startswith(SQLITE):
        return None
    return Path(uri.removeprefix(SQLITE).partition("?")[0])


def require_sound(database: Path) -> None:
    """Check that a file is a store, or can become one.

    Raises:
        SegError: it is damaged, or something else. A missing or unfinished one is not.
    """
    try:
        _is_finished(database)
    except sqlite3.OperationalError:
        if database.is_dir():
            raise SegError(
                f"{database} is a folder. Expected an SQLite file."
            ) from None
        # Else it is locked, or cannot be read now.
    except sqlite3.DatabaseError as error:
        raise SegError(
            f"{database} is no SQLite database, or is damaged ({error}). Bring it back "
            "from a copy, or move it away: the next run then makes a new one."
        ) from error


def make_whole(database: Path, *, warn: Callable[[str], None] = logger.warning) -> None:
    """Make a missing store; only one process at a time does so.

    An unfinished store is kept under another name, and replaced.

    Raises:
        SegError: the file is damaged, or is something else.
        Exception: MLflow's, such as of a full disk.
    """
    with _alone(database):
        require_sound(database)
        if database.exists():
            if _is_finished(database):
                return
            kept = _keep(database)
            warn(
                f"{database} was not finished: its process was killed. It is kept as "
                f"{kept.name}, and made anew."
            )
        _remove_unfinished(database)  # of killed processes: we alone are here
        # MLflow keeps connections by name: each attempt has a name of its own.
        unfinished = database.with_name(f".{database.name}.{uuid.uuid4()}.unfinished")
        try:
            _make(unfinished)
            unfinished.rename(database)
        finally:
            _remove_unfinished(database)


def _is_finished(database: Path) -> bool:
    if not database.exists():
        return False
    uri = f"{database.resolve().as_uri()}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, timeout=_LONGEST_WAIT_S)) as opened:
        tables = {name for (name,) in opened.execute("select name from sqlite_master")}
        if not tables:
            return False
        if "experiments" not in tables:  # MLflow makes it first
            raise SegError(
                f"{database} is a database of something else than MLflow. Name another "
                "file, or move it away."
            )
        return bool(opened.execute("select 1 from experiments limit 1").fetchone())


def _make(database: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    artifacts = database.parent / "mlflow-artifacts"
    store = SqlAlchemyStore(f"{SQLITE}{database}", artifacts.absolute().as_uri())
    store.engine.dispose()


def _keep(database: Path) -> Path:
    """Move a store out of the way, with what SQLite keeps beside it."""
    number = 1
    while (kept := database.with_name(f"{database.name}.broken-{number}")).exists():
        number += 1
    for end in _BESIDE:
        part = database.with_name(database.name + end)
        if part.exists():
            part.rename(kept.with_name(kept.name + end))
    return kept


def _remove_unfinished(database: Path) -> None:
    for left in database.parent.glob(f".{glob.escape(database.name)}.*.unfinished*"):
        left.unlink()


@contextmanager
def _alone(database: Path) -> Iterator[None]:
    database.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(database.with_name(f".{database.name}.lock")):
        yield
