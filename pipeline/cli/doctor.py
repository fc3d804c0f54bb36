"""The command that examines a compiled pipeline: `doctor`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seglib.cli.terminal import Terminal
from seglib.errors import UsageError

if TYPE_CHECKING:
    from pipeline.dag.inputs import Data

app = typer.Typer()
_AROUND = "Surroundings"


@app.command()
def doctor(
    document: Annotated[
        Path | None,
        typer.Argument(
            help="A compiled pipeline, from whatever SDK.", show_default=False
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Warnings fail, too.")
    ] = False,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CODE",
            help="Do not report this code; may be repeated.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    explain: Annotated[
        str,
        typer.Option(
            metavar="CODE", help="Say what a code means, and end.", show_default=False
        ),
    ] = "",
    codes: Annotated[
        bool, typer.Option("--codes", help="Print all codes as Markdown, and end.")
    ] = False,
    data: Annotated[
        str,
        typer.Option(
            help="data.dvc, or a dataset's hash (MD5.dir): compare the sizes of "
            "memory, shared memory and disk with what it needs.",
            show_default=False,
        ),
    ] = "",
    remote: Annotated[
        str,
        typer.Option(
            help="Where the dataset is. Default: the DVC remote of the pin's "
            "repository.",
            show_default=False,
        ),
    ] = "",
    cluster: Annotated[
        bool,
        typer.Option(
            "--cluster",
            help="Look at the cluster of the kubeconfig: namespace, secrets, config "
            "maps, claims, service account, nodes.",
            rich_help_panel=_AROUND,
        ),
    ] = False,
    context: Annotated[
        str,
        typer.Option(
            help="Of the kubeconfig.", rich_help_panel=_AROUND, show_default=False
        ),
    ] = "",
    namespace: Annotated[
        str,
        typer.Option(
            help="Of the runs. Default: KFP_NAMESPACE, else kubeflow.",
            rich_help_panel=_AROUND,
            show_default=False,
        ),
    ] = "",
    service_account: Annotated[
        str, typer.Option(help="Of the pods.", rich_help_panel=_AROUND)
    ] = "pipeline-runner",
    host: Annotated[
        str,
        typer.Option(
            help="Kubeflow Pipelines. Default: KFP_ENDPOINT; KFP_TOKEN or "
            "KFP_TOKEN_FILE log in.",
            rich_help_panel=_AROUND,
            show_default=False,
        ),
    ] = "",
    images: Annotated[
        bool,
        typer.Option(
            "--images",
            help="Ask the registries for the images.",
            rich_help_panel=_AROUND,
        ),
    ] = False,
    mlflow: Annotated[
        str,
        typer.Option(
            help="An MLflow server. Default: MLFLOW_TRACKING_URI.",
            rich_help_panel=_AROUND,
            show_default=False,
        ),
    ] = "",
    mlflow_host: Annotated[
        str,
        typer.Option(
            help="The name and port under which pods reach it, such as "
            "mlflow.kubeflow.svc:5000.",
            rich_help_panel=_AROUND,
            show_default=False,
        ),
    ] = "",
    store: Annotated[
        list[str] | None,
        typer.Option(
            help="s3://bucket/prefix to write to and read from; may be repeated. "
            "Default: SEGLIB_CHECKPOINTS.",
            rich_help_panel=_AROUND,
            show_default=False,
        ),
    ] = None,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline",
            help="Look at the document alone, whatever the environment names.",
            rich_help_panel=_AROUND,
        ),
    ] = False,
    timeout: Annotated[
        float,
        typer.Option(
            min=0.1, help="Seconds for each question.", rich_help_panel=_AROUND
        ),
    ] = 5.0,
) -> None:
    """Examine a compiled pipeline: what would fail, leak, cost or be wrong.

    Each finding has a code that stays the same, a place and a remedy; docs/doctor.md
    lists them. The exit status is 1 if there is an error, and with --strict also if
    there is a warning; 2 on wrong use.

    For example:

    python -m pipeline doctor pipeline.yaml --data data.dvc

    python -m pipeline doctor pipeline.yaml --cluster --host http://localhost:8080

    python -m pipeline doctor --explain P120
    """
    from pipeline.preflight.codes import explain as explanation
    from pipeline.preflight.codes import require_codes, table

    if explain or codes:
        typer.echo(explanation(explain.upper()) if explain else table().rstrip())
        return
    if document is None:
        raise UsageError(
            "No document to examine. Expected: python -m pipeline doctor "
            "PIPELINE.yaml; `python -m pipeline compile -o pipeline.yaml` writes one."
        )
    ignored = [code.upper() for code in ignore or ()]
    require_codes(ignored)
    from pipeline.preflight.around.surroundings import Surroundings
    from pipeline.preflight.checkup import examine

    around = Surroundings.from_environment(
        cluster=cluster,
        context=context,
        namespace=namespace,
        service_account=service_account,
        host=host,
        images=images,
        mlflow=mlflow,
        mlflow_host=mlflow_host,
        stores=tuple(store or ()),
        timeout_s=timeout,
    )
    diagnosis = examine(
        document,
        data=_data(data, remote) if data else None,
        around=None if offline else around,
        ignored=ignored,
    )
    if as_json:
        typer.echo(json.dumps(diagnosis.to_json(), indent=1))
    else:
        from pipeline.preflight.report import show

        show(diagnosis, Terminal())
    raise typer.Exit(1 if diagnosis.fails(strict=strict) else 0)


def _data(given: str, remote: str) -> "Data":
    """The dataset of a pin, or of a hash."""
    from pipeline.dag.inputs import Data
    from seglib.storage import default_remote, read_pin

    if given.endswith(".dir"):
        if not remote:
            raise UsageError(
                f"Where is {given}? Expected --remote s3://bucket/prefix or a folder."
            )
        return Data(data_md5=given, remote=remote, title=given)
    pin = Path(given)
    remote = remote or default_remote(pin)
    return Data(data_md5=read_pin(pin), remote=remote, title=given)
