"""The connection to MLflow that tracking and registry share."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SQLITE = "sqlite:///"
# Neither asks nor tells anything outside, and does not wait long for a dead server.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


def connect(uri: str) -> Any:
    """An MLflow client; a fresh SQLite store is set up by one process at a time."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):  # they narrate how they set up the store
        logging.getLogger(name).setLevel(logging.WARNING)
    with _alone(uri):
        return MlflowClient(uri)


@contextmanager
def as_default(uri: str) -> Iterator[None]:
    """Within it, a store is also the process's own.

    MLflow's registry looks up and loads logged models there, whatever its client was
    given.
    """
    import mlflow

    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """A fresh SQLite store that several processes set up at once stays broken."""
    if not uri.startswith(SQLITE):
        yield
        return
    import fcntl

    database = Path(uri.removeprefix(SQLITE))
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f".{database.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
