"""The options that every command on a cluster has, written out once."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seglib.cli.terminal import echo

if TYPE_CHECKING:
    from pipeline.kfp.connection import Cluster

Connect = Callable[[], "Cluster"]

_PANEL = "Connection"
_OPTIONS: dict[str, tuple[Any, Any]] = {
    "host": (
        Annotated[
            str,
            typer.Option(
                envvar="KFP_ENDPOINT",
                rich_help_panel=_PANEL,
                show_default=False,
                help="Address of KFP's user interface or API. Default: in a pod, KFP's "
                "service; else through the cluster of kubeconfig.",
            ),
        ],
        "",
    ),
    "namespace": (
        Annotated[
            str,
            typer.Option(
                envvar="KFP_NAMESPACE",
                rich_help_panel=_PANEL,
                help="Where KFP is; on a server of several users, yours.",
            ),
        ],
        "kubeflow",
    ),
    "context": (
        Annotated[
            str,
            typer.Option(
                rich_help_panel=_PANEL,
                show_default=False,
                help="Of kubeconfig. Default: its current one.",
            ),
        ],
        "",
    ),
    "token_file": (
        Annotated[
            Path | None,
            typer.Option(
                envvar="KFP_TOKEN_FILE",
                rich_help_panel=_PANEL,
                show_default=False,
                help="Of a bearer token; it is read anew for each request. A token "
                "itself, or a session's cookies, come in KFP_TOKEN and KFP_COOKIES.",
            ),
        ],
        None,
    ),
    "ca_cert": (
        Annotated[
            Path | None,
            typer.Option(
                envvar="KFP_CA_CERT",
                rich_help_panel=_PANEL,
                show_default=False,
                help="Of the authority that signed the server's certificate.",
            ),
        ],
        None,
    ),
    "ui_host": (
        Annotated[
            str,
            typer.Option(
                envvar="KFP_UI_ENDPOINT",
                rich_help_panel=_PANEL,
                show_default=False,
                help="Of the user interface, for links. Default: --host.",
            ),
        ],
        "",
    ),
    "timeout": (
        Annotated[
            float,
            typer.Option(
                envvar="KFP_TIMEOUT",
                rich_help_panel=_PANEL,
                min=0.1,
                help="Seconds that the server has for an answer.",
            ),
        ],
        30.0,
    ),
}


def on_cluster(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a connection.

    Args:
        command: its first parameter gets a function that connects, so that what can
            be wrong on this side is told first.
    """

    @functools.wraps(command)
    def with_connection(**options: Any) -> Any:
        given = {name: options.pop(name) for name in _OPTIONS}
        return command(lambda: _connect(**given), **options)

    _, *own = inspect.signature(command).parameters.values()
    kind = inspect.Parameter.KEYWORD_ONLY
    added = [
        inspect.Parameter(name, kind, default=default, annotation=annotation)
        for name, (annotation, default) in _OPTIONS.items()
    ]
    given = [one.replace(kind=kind) for one in own]
    described = inspect.Signature([*given, *added])
    with_connection.__signature__ = described  # type: ignore[attr-defined]
    names = described.parameters
    with_connection.__annotations__ = {n: p.annotation for n, p in names.items()}
    return with_connection


def _connect(
    *, token_file: Path | None, ca_cert: Path | None, timeout: float, **given: str
) -> "Cluster":
    from pipeline.kfp.connection import connect
    from pipeline.kfp.endpoint import Endpoint

    endpoint = Endpoint.from_environment(
        **given,
        token_file=str(token_file or ""),
        ca_cert=str(ca_cert or ""),
        timeout_s=timeout,
    )
    cluster = connect(endpoint)
    for text in cluster.warnings:
        echo(f"note: {text}", err=True)
    return cluster
