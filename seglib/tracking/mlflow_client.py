"""The connection to MLflow that tracking and registry share."""

import logging
import os
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from seglib.environment import TRACKING_URI
from seglib.errors import SegError
from seglib.tracking.mlflow_errors import deleted_experiment, explained
from seglib.tracking.sqlite_store import make_whole, path_of

logger = logging.getLogger(__name__)

_HEALTH_CHECK_S = 5.0
_PORTS = {"postgresql": 5432, "mysql": 3306}
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


def connect(uri: str, *, warn: Callable[[str], None] = logger.warning) -> Any:
    """An MLflow client; an SQLite store that is not there, or not whole, is made."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):  # they narrate how they set up the store
        logging.getLogger(name).setLevel(logging.WARNING)
    if database := path_of(uri):
        make_whole(database, warn=warn)
    return MlflowClient(uri)


def experiment_id(client: Any, uri: str, name: str) -> str:
    """The id of an experiment, which is created where there is none.

    Raises:
        SegError: it was deleted.
    """
    if experiment := require_active(client, uri, name):
        return str(experiment.experiment_id)
    place = None  # a server knows where artifacts go
    if database := path_of(uri):
        place = (database.resolve().parent / "mlflow-artifacts").as_uri()
    return str(client.create_experiment(name, artifact_location=place))


def require_active(client: Any, uri: str, name: str) -> Any:
    """An experiment; None if there is none.

    Raises:
        SegError: it was deleted.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment and experiment.lifecycle_stage == "deleted":
        raise deleted_experiment(uri, experiment)
    return experiment


def retry_by_sender_alone() -> None:
    """From now on, MLflow repeats no request by itself.

    A request that is repeated after a timeout could make a second run: the sender
    tries again, and looks first what is there.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def health_check(uri: str) -> None:
    """Check with a timeout of 5 s that a server answers, before MLflow is imported.

    MLflow itself would wait 20 s for each request, and 100 s for a database.

    Raises:
        OSError: it does not answer.
    """
    if not uri.startswith(("http://", "https://")):
        place = urlsplit(uri)
        port = _PORTS.get(place.scheme.partition("+")[0])
        if port and place.hostname and "," not in place.netloc:
            address = place.hostname, place.port or port
            socket.create_connection(address, _HEALTH_CHECK_S).close()
        return
    try:
        urllib.request.urlopen(
            f"{uri.rstrip('/')}/health", timeout=_HEALTH_CHECK_S
        ).close()
    except urllib.error.HTTPError as error:
        error.close()  # an answer, whatever it says
    except urllib.error.URLError as error:
        if not isinstance(error.reason, ssl.SSLError):  # MLflow has settings for it
            raise


@contextmanager
def answering(uri: str) -> Iterator[None]:
    """Within it, what goes wrong with a store is an error for people.

    Raises:
        SegError: the store does not answer, or refuses.
    """
    try:
        health_check(uri)
        yield
    except SegError:
        raise
    except Exception as error:
        raise SegError(explained(error, uri)) from error


@contextmanager
def as_default(uri: str) -> Iterator[None]:
    """Within it, a store is also the process's own.

    MLflow's registry looks up and loads logged models there, whatever its client was
    given.
    """
    import mlflow

    before = os.environ.get(TRACKING_URI)
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
