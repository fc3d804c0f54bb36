"""The options of a connection to Kubeflow Pipelines."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pipeline.cli.options import Context, optional
from seglib.cli.options import option
from seglib.cli.terminal import echo

if TYPE_CHECKING:
    from pipeline.kfp.connection import KfpServer


def _variable(name: str) -> dict[str, Any]:
    return {"envvar": name, "group": "Connection"}


@dataclass(frozen=True, kw_only=True)
class ClusterAddress:
    """Where Kubeflow Pipelines is, and who asks."""

    host: Annotated[
        str,
        optional(
            "Address of KFP's user interface or API. Default: in a pod, KFP's service; "
            "else through the cluster of kubeconfig.",
            **_variable("KFP_ENDPOINT"),
        ),
    ] = ""
    namespace: Annotated[
        str, option("Of KFP; with several users, yours.", **_variable("KFP_NAMESPACE"))
    ] = "kubeflow"
    context: Context = ""
    token_file: Annotated[
        Path | None,
        optional(
            "Of a bearer token; it is read anew for each request. A token itself, or a "
            "session's cookies, come in KFP_TOKEN and KFP_COOKIES.",
            **_variable("KFP_TOKEN_FILE"),
        ),
    ] = None
    ca_cert: Annotated[
        Path | None,
        optional("Of the server's authority.", **_variable("KFP_CA_CERT")),
    ] = None
    ui_host: Annotated[
        str, optional("Of links. Default: --host.", **_variable("KFP_UI_ENDPOINT"))
    ] = ""
    timeout: Annotated[
        float, option("Seconds for an answer.", min=0.1, **_variable("KFP_TIMEOUT"))
    ] = 30.0

    def connect(self) -> "KfpServer":
        """Connect, and tell the server's warnings."""
        cluster = connect_by_environment(
            host=self.host,
            namespace=self.namespace,
            context=self.context,
            token_file=str(self.token_file or ""),
            ca_cert=str(self.ca_cert or ""),
            ui_host=self.ui_host,
            timeout_s=self.timeout,
        )
        for text in cluster.warnings:
            echo(f"note: {text}", err=True)
        return cluster


def connect_by_environment(**options: Any) -> "KfpServer":
    """Connect; what no option says is taken from the environment."""
    from pipeline.kfp.connection import connect
    from pipeline.kfp.endpoint import Endpoint

    return connect(Endpoint.from_environment(**options))
