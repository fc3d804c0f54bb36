"""The command that examines a compiled pipeline: `doctor`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import Context, Remote, grouped, optional
from seglib.cli.help import App
from seglib.cli.options import option
from seglib.cli.terminal import Terminal, echo
from seglib.environment import CHECKPOINTS, TRACKING_URI
from seglib.errors import UsageError

if TYPE_CHECKING:
    from pipeline.dag.inputs import Data

app = App()
_PANEL: dict[str, Any] = {"group": "Surroundings"}


@dataclass(frozen=True, kw_only=True)
class Around:
    """What to look at beside the document: the fields of `Surroundings`."""

    cluster: Annotated[
        bool, option("Look at the cluster of the kubeconfig.", "--cluster", **_PANEL)
    ] = False
    context: Context = ""
    namespace: Annotated[
        str, option("Of the runs.", envvar="KFP_NAMESPACE", **_PANEL)
    ] = "kubeflow"
    service_account: Annotated[str, option("Of the pods.", **_PANEL)] = (
        "pipeline-runner"
    )
    host: Annotated[
        str, optional("Of Kubeflow Pipelines.", envvar="KFP_ENDPOINT", **_PANEL)
    ] = ""
    images: Annotated[
        bool, option("Ask the registries for the images.", "--images", **_PANEL)
    ] = False
    mlflow: Annotated[
        str, optional("An MLflow server.", envvar=TRACKING_URI, **_PANEL)
    ] = ""
    mlflow_host: Annotated[
        str, optional("Its name for pods, as mlflow.kubeflow.svc:5000.", **_PANEL)
    ] = ""
    stores: Annotated[
        list[str] | None,
        optional(
            "s3://bucket/prefix to write to and read from; may be repeated.",
            "--store",
            envvar=CHECKPOINTS,
            **_PANEL,
        ),
    ] = None
    timeout_s: Annotated[
        float, option("Seconds for each request.", "--timeout", min=0.1, **_PANEL)
    ] = 5.0


@app.command()
@grouped
def doctor(
    around: Around,
    document: Annotated[
        Path | None,
        typer.Argument(
            help="A file that `compile` or `sweep -o` wrote.", show_default=False
        ),
    ] = None,
    strict: Annotated[bool, option("Warnings fail, too.", "--strict")] = False,
    ignore: Annotated[
        list[str] | None,
        optional("Do not report this code; may be repeated.", metavar="CODE"),
    ] = None,
    as_json: Annotated[bool, option("Print JSON.", "--json")] = False,
    explain: Annotated[
        str, optional("Say what a code means, and end.", metavar="CODE")
    ] = "",
    codes: Annotated[
        bool, option("Print all codes as Markdown, and end.", "--codes")
    ] = False,
    data: Annotated[
        str,
        optional("data.dvc, or a hash (MD5.dir): is there memory and disk for it?"),
    ] = "",
    remote: Remote = "",
    offline: Annotated[
        bool, option("Look at the document alone.", "--offline", **_PANEL)
    ] = False,
) -> None:
    """Examine a pipeline that this project compiled, and its surroundings.

    Each finding has a code that stays the same, a place and a remedy; docs/preflight.md
    lists them. The exit status is 1 if there is an error, and with --strict also if
    there is a warning; 2 on wrong use, as for a pipeline of another project.

    For example:

    python -m pipeline doctor pipeline.yaml --data data.dvc

    python -m pipeline doctor pipeline.yaml --cluster --host http://localhost:8080

    python -m pipeline doctor --explain P120
    """
    from pipeline.preflight import findings

    if explain or codes:
        text = findings.explain(explain.upper()) if explain else findings.table()
        echo(text.rstrip())
        return
    if document is None:
        raise UsageError(
            "No document to examine. Expected: python -m pipeline doctor "
            "PIPELINE.yaml; `python -m pipeline compile -o pipeline.yaml` writes one."
        )
    ignored = [code.upper() for code in ignore or ()]
    findings.require_codes(ignored)
    from pipeline.preflight.checkup import examine
    from pipeline.preflight.surroundings import Surroundings

    stores = tuple(around.stores or ())
    diagnosis = examine(
        document,
        data=_data(data, remote) if data else None,
        around=None if offline else Surroundings(**{**vars(around), "stores": stores}),
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
    from seglib.storage.pins import default_remote, read_pin

    if given.endswith(".dir"):
        if not remote:
            raise UsageError(
                f"Where is {given}? Expected --remote s3://bucket/prefix or a folder."
            )
        return Data(data_md5=given, remote=remote, title=given)
    pin = Path(given)
    remote = remote or default_remote(pin)
    return Data(data_md5=read_pin(pin), remote=remote, title=given)
