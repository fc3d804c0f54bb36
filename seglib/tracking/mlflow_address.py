"""MLFLOW_TRACKING_URI: read, checked and freed of its login in this one place.

A login in a server's address moves to MLFLOW_TRACKING_USERNAME and _PASSWORD, where
MLflow looks for it, too: no message, file or process sees it in the address. That of a
database's address has to stay there; `without_login` leaves it out of what is shown.
"""

import importlib.metadata
import os
import re
from urllib.parse import quote, unquote, urlsplit

from seglib.environment import (
    TRACKING_PASSWORD,
    TRACKING_TOKEN,
    TRACKING_URI,
    TRACKING_USERNAME,
)
from seglib.errors import UsageError
from seglib.plain_text import without_login
from seglib.tracking.sqlite_store import SQLITE

_SERVERS = ("http", "https")
_DATABASES = ("postgresql", "mysql", "mssql")
_EXPECTED = (
    "Expected a server, such as http://host:5000, or a database, such as "
    "sqlite:////path/mlflow.db."
)


def tracking_uri(default: str = "") -> str:
    """The store that MLFLOW_TRACKING_URI names.

    Raises:
        UsageError: it can never be one, whatever gets better.
    """
    given = os.environ.get(TRACKING_URI, "").strip()
    if given:
        address, user, password = split_login(given)
        if user:
            os.environ.update({TRACKING_USERNAME: user, TRACKING_PASSWORD: password})
        os.environ[TRACKING_URI] = given = address
    return given or default


def split_login(uri: str) -> tuple[str, str, str]:
    """The address of a store without its login, its user and its password.

    Of a database, the login stays in the address, in a form that its driver reads.

    Raises:
        UsageError: it is no address of a store.

    Example:
        >>> split_login("http://me:p@s%2Fs@host:5000/mlflow")
        ('http://host:5000/mlflow', 'me', 'p@s/s')
        >>> split_login("postgresql://me:p@ss@host/mlflow")
        ('postgresql://me:p%40ss@host/mlflow', '', '')
    """
    scheme, separator, rest = uri.partition("://")
    kind = scheme.lower().partition("+")[0]
    if uri.startswith(SQLITE) or kind == "databricks":
        return uri, "", ""
    if kind in _DATABASES and separator:
        login, at, where = rest.rpartition("@")
        parts = (quote(unquote(part), safe="") for part in login.split(":", 1))
        return f"{scheme}://{':'.join(parts)}{at}{where}", "", ""
    if kind not in _SERVERS or not separator:
        _require_plugin(uri, kind)
        return uri, "", ""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    login, _, host = authority.rpartition("@")
    path = rest[len(authority) :]
    try:
        place = urlsplit(f"//{host}")
        is_right = bool(place.hostname) and (place.port or 0) >= 0
    except ValueError:
        is_right = False
    if not is_right or "@" in path or re.search(r"[\s\\\x00-\x1f]", uri):
        raise UsageError(
            f"{TRACKING_URI} is no address of a server. Expected http://host:5000. "
            "Characters such as / ? # @ and spaces in a user or password are written "
            f"%2F %3F %23 %40 %20; or set {TRACKING_USERNAME} and "
            f"{TRACKING_PASSWORD} instead."
        )
    user, _, password = (unquote(part) for part in login.partition(":"))
    if bool(user) != bool(password):
        raise UsageError(
            f"{TRACKING_URI}: the address of {uri} has a user or a "
            f"password, but not both. Set {TRACKING_USERNAME} and "
            f"{TRACKING_PASSWORD}, or {TRACKING_TOKEN}, instead."
        )
    return f"{kind}://{host}{path}", user, password


def _require_plugin(uri: str, kind: str) -> None:
    """What is left is a folder, or the address of a store that a plugin brings."""
    has_scheme = "://" in uri
    shown = without_login(uri if has_scheme else f"://{uri}").removeprefix("://")
    named = f"{TRACKING_URI} names {shown!r}"
    if kind.startswith("file") or not has_scheme:
        if os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("true", "1"):
            return
        raise UsageError(
            f"{named}, a folder, and MLflow 3 keeps no runs in folders. {_EXPECTED} "
            "`mlflow migrate-filestore` moves the runs of a folder to a database."
        )
    plugins = importlib.metadata.entry_points(group="mlflow.tracking_store")
    if kind not in plugins.names:
        raise UsageError(f"{named}, and MLflow has no store for {kind}://. {_EXPECTED}")
