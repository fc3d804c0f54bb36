"""Whether MLflow answers, also under the name that pods use: S250 … S253."""

import base64
import importlib.metadata
import os
from urllib.parse import urlsplit

from pipeline.preflight.around.looking import Seen
from pipeline.preflight.around.questions import Answer, ask
from pipeline.preflight.findings import Finding, FoundError
from seglib.environment import TRACKING_PASSWORD, TRACKING_TOKEN, TRACKING_USERNAME
from seglib.tracking.mlflow_address import split_login

_SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"


def check_mlflow(uri: str, *, timeout_s: float, host: str = "") -> Seen:
    """Ask an MLflow server for its version and for an experiment.

    Args:
        uri: http(s)://….
        timeout_s: of each of the two requests.
        host: name and port under which pods reach it, if they differ from `uri`.
    """
    address = split_login(uri)[0].rstrip("/")
    where = f"MLflow at {address}" + (f" as {host}" if host else "")
    login = _login(uri)
    version = ask(f"{address}/version", timeout_s=timeout_s, headers=login)
    if version.status == 0:
        raise FoundError("S250", where, version.reason)
    headers = {**login, **({"Host": host} if host else {})}
    answer = ask(f"{address}{_SEARCH}", timeout_s=timeout_s, headers=headers)
    _require_experiments(answer, where, host or urlsplit(address).netloc)
    server, client = version.text.strip(), importlib.metadata.version("mlflow")
    if not server[:1].isdigit():
        what = "it does not say its version: something else may answer there"
        yield Finding("S253", where, what)
    elif server.partition(".")[0] != client.partition(".")[0]:
        yield Finding("S253", where, f"the server is {server}, the client {client}")
    else:
        yield f"{where}: version {server}, the client has {client}"


def _require_experiments(answer: Answer, where: str, name: str) -> None:
    if answer.status == 403 and "Invalid Host header" in answer.text:
        raise FoundError(
            "S251",
            where,
            f"it answers 403 “Invalid Host header” to {name}",
            f"Start it with --allowed-hosts {name} (several: separated by commas), or "
            "set MLFLOW_SERVER_ALLOWED_HOSTS.",
        )
    # {} is the answer of a server without experiments.
    if answer.status == 200 and "experiments" in answer.json | {"experiments": ()}:
        return
    refused = 300 <= answer.status < 400 or answer.status in (401, 403)
    what = f"it answers {answer.status}" if answer.status else answer.reason
    raise FoundError("S252" if refused else "S250", where, what)


def _login(uri: str) -> dict[str, str]:
    """As MLflow's client logs in: by the URL, else by the environment."""
    if token := os.environ.get(TRACKING_TOKEN):
        return {"Authorization": f"Bearer {token}"}
    _, user, password = split_login(uri)
    user = user or os.environ.get(TRACKING_USERNAME, "")
    password = password or os.environ.get(TRACKING_PASSWORD, "")
    if not user:
        return {}
    login = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {login}"}
