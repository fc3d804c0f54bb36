"""The connection to MLflow that tracking and registry share.

What goes wrong with a store becomes one line that says what to do.
"""

import logging
import os
import re
import shlex
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from seglib.environment import TRACKING_URI
from seglib.errors import SegError, in_a_line
from seglib.plain_text import without_login
from seglib.tracking.sqlite_store import make_whole, path_of

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

_LONGEST = 300  # characters of what others say
_CHECK = "Check MLFLOW_TRACKING_URI"
# What is in an error, or in one that led to it, and what it means.
_KINDS = {
    r"Invalid Host header": (
        "does not know the name under which it is asked. Start it with --allowed-hosts "
        "and that name"
    ),
    r"\b(error code|HTTP Error) 40[13]\b|PERMISSION_DENIED|UNAUTHENTICATED": (
        "refuses the login. Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
        "or MLFLOW_TRACKING_TOKEN, of a user who may read and write"
    ),
    r"not in a valid JSON format|error code (3\d\d|404)\b|InvalidUrl": (
        f"is something else than an MLflow server. {_CHECK}"
    ),
    r"gaierror|NameResolutionError|Name or service not known": (
        f"has an unknown host. {_CHECK}, and the network"
    ),
    r"ConnectionRefused|Connection refused": (
        "does not answer: the connection is refused. Start it, or correct "
        "MLFLOW_TRACKING_URI"
    ),
    r"TimeoutError|timed out|Timeout\b": (
        f"does not answer in time. {_CHECK}, and the network"
    ),
    r"error code 5\d\d\b|too many 5\d\d error|INTERNAL_ERROR": (
        "fails. Its own log says why"
    ),
    r"MLFLOW_ALLOW_FILE_STORE": (
        "is a folder, and MLflow 3 keeps no runs in folders. Set MLFLOW_TRACKING_URI "
        "to a server or a database"
    ),
    r"out-of-date database schema|Can't locate revision": (
        "was made by another version of MLflow. Copy it, then run "
        "`mlflow db upgrade` on it"
    ),
    r"disk is full|No space left": "has no room left on its disk. Make some",
    r"disk image is malformed|file is not a database": (
        "is damaged. Bring it back from a copy, or move it away"
    ),
}


def connect(uri: str) -> Any:
    """An MLflow client; an SQLite store that is not there, or not whole, is made."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):  # they narrate how they set up the store
        logging.getLogger(name).setLevel(logging.WARNING)
    if database := path_of(uri):
        make_whole(database)
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
        raise SegError(
            f"The experiment {name!r} of MLflow at {uri} is deleted. Restore it: "
            f"MLFLOW_TRACKING_URI={shlex.quote(uri)} mlflow experiments restore "
            f"--experiment-id {experiment.experiment_id}."
        )
    return experiment


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


def explained(error: BaseException, uri: str) -> str:
    """One line, without logins: what is wrong with the store at `uri`, what to do."""
    if isinstance(error, SegError):
        return str(error)
    said = in_a_line(error, longest=_LONGEST)
    chain = ""
    cause: BaseException | None = error
    while cause is not None:
        chain += f"{type(cause).__name__}: {cause}\n"
        cause = cause.__cause__ or cause.__context__
    for pattern, meaning in _KINDS.items():
        if re.search(pattern, chain):
            said = "" if isinstance(error, OSError) else f" ({said})"  # nothing new
            return f"MLflow at {without_login(uri)} {meaning}{said}."
    return f"MLflow at {without_login(uri)}: {said}"


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
