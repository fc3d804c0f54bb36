"""The connection to MLflow that tracking and registry share."""

import logging
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SQLITE = "sqlite:///"
_KNOCK_S = 5.0
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


def retry_by_delivery_alone() -> None:
    """From now on, MLflow repeats no request by itself.

    A request that is repeated after a timeout could make a second run: it is the
    delivery that tries again, and looks first what is there.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def knock(uri: str) -> None:
    """Ask a server for any answer at all; before MLflow is imported, and patient.

    MLflow waits 20 s for each request, and for several of them.

    Raises:
        OSError: there is none within 5 s.
    """
    if not uri.startswith(("http://", "https://")):
        return
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=_KNOCK_S).close()
    except urllib.error.HTTPError as error:
        error.close()  # an answer, whatever it says
    except urllib.error.URLError as error:
        if not isinstance(error.reason, ssl.SSLError):  # MLflow has settings for it
            raise


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
