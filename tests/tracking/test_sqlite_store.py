"""MLflow's SQLite store, whatever lies in its place."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from seglib.errors import SegError
from seglib.tracking.sqlite_store import SQLITE, make_whole, require_sound
from seglib.tracking.tracked_run import TrackedRun


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "mlflow.db"


@pytest.fixture
def whole(fresh_store: Callable[[Path], str], database: Path) -> Path:
    fresh_store(database)
    return database


OPEN = """
import sys
from seglib.tracking.tracked_run import TrackedRun
print(TrackedRun(sys.argv[1], sys.argv[2], time_ms=1).id)
"""


def test_two_processes_may_open_a_fresh_store_at_once(
    database: Path, repository: Path
) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, f"{SQLITE}{database}", run],
            cwd=repository,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for run in ("left", "right")
    ]
    said = [process.communicate() for process in processes]
    assert [errors for _, errors in said if "Error" in errors] == []
    with closing(sqlite3.connect(database)) as opened:
        query = "select value, run_uuid from tags where key = 'kfp.run_id'"
        found = dict(opened.execute(query))
    assert found == {
        "left": said[0][0].strip(),
        "right": said[1][0].strip(),
    }


def run_sql(database: Path, *lines: str) -> None:
    with closing(sqlite3.connect(database)) as opened:
        for line in lines:
            opened.execute(line)
        opened.commit()


def revision(database: Path) -> str:
    with closing(sqlite3.connect(database)) as opened:
        return str(opened.execute("select * from alembic_version").fetchone()[0])


def test_an_unfinished_store_is_replaced(
    database: Path, fresh_store: Callable[[Path], str], tmp_path: Path
) -> None:
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base
    from sqlalchemy import create_engine

    engine = create_engine(f"{SQLITE}{database}")
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        config = _get_alembic_config(f"{SQLITE}{database}")
        config.attributes["connection"] = connection
        command.upgrade(config, "+5")
    engine.dispose()
    unfinished = database.with_name(".mlflow.db.0.unfinished")
    unfinished.touch()  # of another run, killed while it made the store
    row = TrackedRun(f"{SQLITE}{database}", "run", time_ms=1)
    assert row.tags()
    fresh_store(tmp_path / "fresh.db")
    assert revision(database) == revision(tmp_path / "fresh.db")
    assert not unfinished.exists()
    row._client._tracking_client.store._dispose_engine()


def test_a_finished_store_is_not_changed(whole: Path) -> None:
    before = whole.read_bytes()
    make_whole(whole)
    assert whole.read_bytes() == before


@pytest.mark.parametrize("tables", [(), ("create table experiments (id integer)",)])
def test_an_unfinished_store_stops_no_run(
    tables: tuple[str, ...], database: Path
) -> None:
    database.touch()
    run_sql(database, *tables)
    require_sound(database)


def _truncated(path: Path, whole: Path) -> None:
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])


def _of_something_else(path: Path, whole: Path) -> None:
    run_sql(path, "create table trials (id integer)")


def _text(path: Path, whole: Path) -> None:
    path.write_text("my notes, which are longer than SQLite's header: 100 bytes\n" * 9)


def _a_folder(path: Path, whole: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (_truncated, "is no SQLite database, or is damaged"),
        (_text, "is no SQLite database, or is damaged"),
        (_of_something_else, "is a database of something else than MLflow"),
        (_a_folder, "is a folder"),
    ],
)
def test_a_file_that_is_no_store_is_refused_and_not_changed(
    make: Any, wrong: str, whole: Path, tmp_path: Path
) -> None:
    path = tmp_path / "other.db"
    make(path, whole)
    before = path.is_file() and path.read_bytes()
    with pytest.raises(SegError, match=wrong):
        require_sound(path)
    with pytest.raises(SegError, match=wrong):
        make_whole(path)
    assert (path.is_file() and path.read_bytes()) == before


def test_a_full_disk_leaves_no_broken_store_and_the_next_attempt_makes_it(
    database: Path, repository: Path
) -> None:
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from seglib.tracking.sqlite_store import make_whole\n"
        "import mlflow\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "database, size = Path(sys.argv[1]), resource.RLIMIT_FSIZE\n"
        "resource.setrlimit(size, (100_000, resource.RLIM_INFINITY))\n"
        "try:\n"
        "    make_whole(database)\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, *(path.name for path in Path().iterdir()))\n"
        "resource.setrlimit(size, (resource.RLIM_INFINITY,) * 2)\n"
        "make_whole(database)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(database)],
        cwd=database.parent,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "OperationalError .mlflow.db.lock\n"
    make_whole(database)
    assert {path.name for path in database.parent.iterdir()} == {
        "mlflow.db",
        ".mlflow.db.lock",
    }
