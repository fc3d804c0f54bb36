"""MLflow's SQLite store: made beside its place, and moved there when it is whole.

MLflow makes a store in place, in 40 steps that take 10 seconds, and cannot open a store
whose making was interrupted. Its last step is the first experiment: a store without
experiments is unfinished and holds nothing.
"""

import glob
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

from seglib.errors import SegError
from seglib.storage.atomic_write import file_lock

SQLITE = "sqlite:///"
_BESIDE = ("", "-journal", "-wal", "-shm")  # what SQLite keeps beside a file is its own
_LONGEST_WAIT_S = 20.0  # for another process's lock


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


def make_whole(database: Path) -> None:
    """Make a missing or unfinished store; only one process at a time does so.

    Raises:
        SegError: the file is damaged, or is something else.
        Exception: MLflow's, such as of a full disk.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    database.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(database.with_name(f".{database.name}.lock")):
        require_sound(database)
        if _is_finished(database):
            return
        for end in _BESIDE:
            database.with_name(database.name + end).unlink(missing_ok=True)
        _remove_unfinished(database)  # of killed processes: we alone are here
        # MLflow keeps connections by name: each attempt has a name of its own.
        unfinished = database.with_name(f".{database.name}.{uuid.uuid4()}.unfinished")
        artifacts = (database.parent / "mlflow-artifacts").absolute().as_uri()
        try:
            SqlAlchemyStore(f"{SQLITE}{unfinished}", artifacts).engine.dispose()
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


def _remove_unfinished(database: Path) -> None:
    for left in database.parent.glob(f".{glob.escape(database.name)}.*.unfinished*"):
        left.unlink()
