"""What MLflow, and what it stands on, says of a failure, as one line with a remedy."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

from seglib.errors import SegError, in_a_line
from seglib.plain_text import without_login

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


def explained(error: BaseException, uri: str) -> str:
    """One line, without logins: what is wrong with the store at `uri`, what to do."""
    if isinstance(error, SegError):
        return str(error)
    chain = list(_chain(error))
    said = in_a_line(error, longest=_LONGEST)
    whole = "\n".join(f"{type(one).__name__}: {one}" for one in chain)
    for pattern, meaning in _KINDS.items():
        if re.search(pattern, whole):
            said = "" if isinstance(error, OSError) else f" ({said})"  # nothing new
            return f"MLflow at {without_login(uri)} {meaning}{said}."
    return f"MLflow at {without_login(uri)}: {said}"


def deleted_experiment(uri: str, experiment: Any) -> SegError:
    """The error for an experiment, MLflow's, that somebody deleted."""
    return SegError(
        f"The experiment {experiment.name!r} of MLflow at {uri} is deleted. Restore "
        f"it: MLFLOW_TRACKING_URI={shlex.quote(uri)} mlflow experiments restore "
        f"--experiment-id {experiment.experiment_id}."
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
