"""Whether MLflow answers, and under the name that pods use: S250 … S253."""

import base64
import importlib.metadata
import os
import re

from pipeline.preflight.around.looking import Seen
from pipeline.preflight.around.questions import Answer, ask
from pipeline.preflight.findings import Finding
from seglib.tracking.mlflow_address import split_login

_SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"


def check_mlflow(uri: str, *, timeout_s: float, host: str = "") -> Seen:
    """Ask an MLflow server for its version and for an experiment.

    Args:
        uri: http(s)://….
        timeout_s: of each of the two questions.
        host: the name under which pods reach it, if it is another than in `uri`.
    """
    address = split_login(uri)[0].rstrip("/")
    where = f"MLflow at {address}" + (f" as {host}" if host else "")
    login = _login(uri)
    version = ask(f"{address}/version", timeout_s=timeout_s, headers=login)
    if version.status == 0:
        return _seen("S250", where, version.reason)
    headers = {**login, **({"Host": host} if host else {})}
    answer = ask(f"{address}{_SEARCH}", timeout_s=timeout_s, headers=headers)
    wrong = _refusal(answer, where, host or address.partition("://")[2].split("/")[0])
    if wrong:
        return Seen((wrong,))
    return _compare(version.text.strip(), where)


def _refusal(answer: Answer, where: str, name: str) -> Finding | None:
    if answer.status == 200 and "experiments" in answer.json | {"experiments": ()}:
        return None
    if answer.status == 403 and "Invalid Host header" in answer.text:
        return Finding(
            code="S251",
            where=where,
            what=f"it answers 403 “Invalid Host header” to {name}",
            remedy=f"Start it with --allowed-hosts {name} (several: separated by "
            "commas), or set MLFLOW_SERVER_ALLOWED_HOSTS.",
        )
    if answer.status in (301, 302, 303, 307, 308, 401, 403):
        what = f"it answers {answer.status}"
        return Finding(code="S252", where=where, what=what)
    what = f"it answers {answer.status}" if answer.status else answer.reason
    return Finding(code="S250", where=where, what=what)


def _compare(server: str, where: str) -> Seen:
    client = importlib.metadata.version("mlflow")
    if not re.match(r"\d+\.", server):
        what = "it does not say its version: something else may answer there"
        return _seen("S253", where, what)
    if server.partition(".")[0] != client.partition(".")[0]:
        what = f"the server is {server}, the client {client}"
        return _seen("S253", where, what)
    return Seen(notes=(f"{where}: version {server}, the client has {client}",))


def _login(uri: str) -> dict[str, str]:
    """As MLflow's client logs in: by the URL, else by the environment."""
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    _, user, password = split_login(uri)
    user = user or os.environ.get("MLFLOW_TRACKING_USERNAME", "")
    password = password or os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    if not user:
        return {}
    login = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {login}"}


def _seen(code: str, where: str, what: str) -> Seen:
    return Seen((Finding(code=code, where=where, what=what),))
