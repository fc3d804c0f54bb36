"""Whether Kubeflow Pipelines answers, and its version: S230 … S232."""

from pipeline.http import NO_PATIENCE
from pipeline.kfp.connection import connect
from pipeline.kfp.endpoint import Endpoint
from pipeline.kfp.failures import ClusterError
from pipeline.preflight.around.looking import Seen
from pipeline.preflight.findings import Finding, FoundError
from seglib.plain_text import without_login

_CODES = {
    **dict.fromkeys(("login", "unauthenticated", "forbidden", "credentials"), "S231"),
    "version": "S232",
}


def check_kfp(host: str, *, timeout_s: float) -> Seen:
    """Connect as `submit` does, with the same credentials, but without repetition.

    Args:
        host: address of the API, or of the user interface before it.
        timeout_s: of each request.
    """
    where = f"Kubeflow Pipelines at {without_login(host).rstrip('/')}"
    endpoint = Endpoint.from_environment(
        host=host, timeout_s=timeout_s, patience=NO_PATIENCE
    )
    try:
        cluster = connect(endpoint)
    except ClusterError as error:
        code = _CODES.get(error.kind, "S230")
        raise FoundError(code, where, str(error).rstrip(".")) from error
    for warning in cluster.warnings:
        yield Finding("S232", where, warning)
    yield f"{where}: version {cluster.version or 'unknown'}"
