"""Whether Kubeflow Pipelines and MLflow answer: S230 … S232, S250 … S253."""

import importlib.metadata
import os
from urllib.parse import urlsplit

import urllib3

from pipeline.http import NO_PATIENCE
from pipeline.kfp.connection import connect
from pipeline.kfp.endpoint import Endpoint
from pipeline.kfp.failures import ClusterError
from pipeline.preflight.findings import Finding, FoundError
from pipeline.preflight.looking import Seen, ask
from seglib.environment import TRACKING_PASSWORD, TRACKING_TOKEN, TRACKING_USERNAME
from seglib.plain_text import without_login
from seglib.tracking.mlflow_address import split_login

_KFP_CODES = {
    **dict.fromkeys(("login", "unauthenticated", "forbidden", "credentials"), "S231"),
    "version": "S232",
}
_SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"


def check_kfp(host: str, *, timeout_s: float) -> Seen:
    """Connect as `submit` does, with the same credentials, but without repetition."""
    where = f"Kubeflow Pipelines at {without_login(host).rstrip('/')}"
    endpoint = Endpoint.from_environment(
        host=host, timeout_s=timeout_s, patience=NO_PATIENCE
    )
    try:
        cluster = connect(endpoint)
    except ClusterError as error:
        code = _KFP_CODES.get(error.kind, "S230")
        raise FoundError(code, where, str(error)) from error
    for warning in cluster.warnings:
        yield Finding("S232", where, warning)
    yield f"{where}: version {cluster.version or 'unknown'}"


def check_mlflow(uri: str, *, timeout_s: float, host: str = "") -> Seen:
    """Ask an MLflow server for its version and for an experiment.

    Args:
        host: name and port under which pods reach it, if they differ from `uri`.
    """
    address = split_login(uri)[0].rstrip("/")
    where = f"MLflow at {address}" + (f" as {host}" if host else "")
    headers = _login(uri)
    found = [
        ask(
            "GET",
            f"{address}{path}",
            headers=headers | ({"Host": host} if host and path == _SEARCH else {}),
            timeout_s=timeout_s,
            code="S250",
            where=where,
        )
        for path in ("/version", _SEARCH)
    ]
    server, answer = found[0].data.decode("utf-8", "replace").strip(), found[1]
    if answer.status == 403 and b"Invalid Host header" in answer.data:
        name = host or urlsplit(address).netloc
        raise FoundError(
            "S251",
            where,
            f"it answers 403 “Invalid Host header” to {name}",
            f"Start it with --allowed-hosts {name} (several: separated by commas), or "
            "set MLFLOW_SERVER_ALLOWED_HOSTS.",
        )
    if answer.status != 200 or not _lists_experiments(answer):
        refused = 300 <= answer.status < 400 or answer.status in (401, 403)
        what = f"it answers {answer.status}"
        raise FoundError("S252" if refused else "S250", where, what)
    client = importlib.metadata.version("mlflow")
    if not server[:1].isdigit():
        what = "it does not say its version: something else may answer there"
        yield Finding("S253", where, what)
    elif server.partition(".")[0] != client.partition(".")[0]:
        yield Finding("S253", where, f"the server is {server}, the client {client}")
    else:
        yield f"{where}: version {server}, the client has {client}"


def _lists_experiments(answer: urllib3.BaseHTTPResponse) -> bool:
    """Whether it is an answer of MLflow; {} is that of one without experiments."""
    try:
        found = answer.json()
    except ValueError:
        return False
    return isinstance(found, dict) and (not found or "experiments" in found)


def _login(uri: str) -> dict[str, str]:
    """As MLflow's client logs in: by the URL, else by the environment."""
    if token := os.environ.get(TRACKING_TOKEN):
        return {"Authorization": f"Bearer {token}"}
    _, user, password = split_login(uri)
    user = user or os.environ.get(TRACKING_USERNAME, "")
    password = password or os.environ.get(TRACKING_PASSWORD, "")
    login = urllib3.make_headers(basic_auth=f"{user}:{password}") if user else {}
    return {name.title(): value for name, value in login.items()}
