"""The options of a connection to Kubeflow Pipelines."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pipeline.cli.options import Context, option, optional
from seglib.cli.terminal import echo

if TYPE_CHECKING:
    from pipeline.kfp.connection import KfpServer

Connect = Callable[[], "KfpServer"]

_PANEL: dict[str, Any] = {"rich_help_panel": "Connection"}


def _connect(
    *,
    host: Annotated[
        str,
        optional(
            "Address of KFP's user interface or API. Default: in a pod, KFP's service; "
            "else through the cluster of kubeconfig.",
            envvar="KFP_ENDPOINT",
            **_PANEL,
        ),
    ] = "",
    namespace: Annotated[
        str,
        option(
            "Where KFP is; on a server of several users, yours.",
            envvar="KFP_NAMESPACE",
            **_PANEL,
        ),
    ] = "kubeflow",
    context: Context = "",
    token_file: Annotated[
        Path | None,
        optional(
            "Of a bearer token; it is read anew for each request. A token itself, or a "
            "session's cookies, come in KFP_TOKEN and KFP_COOKIES.",
            envvar="KFP_TOKEN_FILE",
            **_PANEL,
        ),
    ] = None,
    ca_cert: Annotated[
        Path | None,
        optional(
            "Of the authority that signed the server's certificate.",
            envvar="KFP_CA_CERT",
            **_PANEL,
        ),
    ] = None,
    ui_host: Annotated[
        str,
        optional(
            "Of the user interface, for links. Default: --host.",
            envvar="KFP_UI_ENDPOINT",
            **_PANEL,
        ),
    ] = "",
    timeout: Annotated[
        float,
        option(
            "Seconds that the server has for an answer.",
            envvar="KFP_TIMEOUT",
            min=0.1,
            **_PANEL,
        ),
    ] = 30.0,
) -> "KfpServer":
    """Connect, and tell the server's warnings."""
    from pipeline.kfp.connection import connect
    from pipeline.kfp.endpoint import Endpoint

    endpoint = Endpoint.from_environment(
        host=host,
        namespace=namespace,
        context=context,
        token_file=str(token_file or ""),
        ca_cert=str(ca_cert or ""),
        ui_host=ui_host,
        timeout_s=timeout,
    )
    cluster = connect(endpoint)
    for text in cluster.warnings:
        echo(f"note: {text}", err=True)
    return cluster


def connect_by_environment() -> "KfpServer":
    """Connect as a command without these options does."""
    from pipeline.kfp.connection import connect
    from pipeline.kfp.endpoint import Endpoint

    return connect(Endpoint.from_environment())


def on_cluster(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a connection.

    Args:
        command: its first parameter gets a function that connects, so that mistakes in
            the other options are told first.
    """
    added = inspect.signature(_connect).parameters

    @functools.wraps(command)
    def with_connection(**given: Any) -> Any:
        connection = {name: given.pop(name) for name in added}
        return command(lambda: _connect(**connection), **given)

    _, *own = inspect.signature(command).parameters.values()
    kind = inspect.Parameter.KEYWORD_ONLY
    described = inspect.Signature(
        [*(one.replace(kind=kind) for one in own), *added.values()]
    )
    with_connection.__signature__ = described  # type: ignore[attr-defined]
    names = described.parameters
    with_connection.__annotations__ = {n: p.annotation for n, p in names.items()}
    return with_connection
