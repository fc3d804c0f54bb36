"""The commands on a cluster: `submit`, `status`, `wait`, `cancel`, `logs`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seglib.errors import UsageError

if TYPE_CHECKING:
    from pipeline.cluster.connection import Cluster
    from pipeline.cluster.document import Document

app = typer.Typer()

Host = Annotated[
    str,
    typer.Option(
        help="Address of KFP's user interface or API. Default: KFP_ENDPOINT; in a pod "
        "its service; else the cluster of kubeconfig.",
        show_default=False,
    ),
]
Namespace = Annotated[
    str,
    typer.Option(
        help="Where KFP is; with several users, yours. Default: KFP_NAMESPACE, "
        "then kubeflow.",
        show_default=False,
    ),
]
RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="Its id, its name or a part of that, or latest."
    ),
]


@app.command()
def submit(
    config: Annotated[
        Path | None,
        typer.Option(help="A YAML file that states what differs from the defaults."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change one setting."),
    ] = None,
    image: Annotated[
        str,
        typer.Option(envvar="SEGLIB_IMAGE", help="The steps' image: NAME@sha256:…"),
    ] = "",
    pipeline: Annotated[
        Path | None,
        typer.Option(help="A compiled pipeline. Default: it is compiled for --image."),
    ] = None,
    rev: Annotated[
        str, typer.Option(help="Git revision of data.dvc. Default: as it is here.")
    ] = "",
    data_md5: Annotated[str, typer.Option(help="The dataset's hash, <md5>.dir.")] = "",
    remote: Annotated[
        str, typer.Option(help="s3://bucket/prefix. Default: DVC's default remote.")
    ] = "",
    experiment: Annotated[
        str, typer.Option(help="Of KFP. Default: the pipeline's name.")
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Run although there is such a run already.")
    ] = False,
    allow_tag: Annotated[
        bool, typer.Option("--allow-tag", help="Take an image that has no digest.")
    ] = False,
    push_check: Annotated[
        bool, typer.Option(help="First see that all data are on the remote.")
    ] = True,
    host: Host = "",
    namespace: Namespace = "",
) -> None:
    """Start a run on the cluster."""
    from pipeline.cluster.order import check_pushed, find_version, make_order
    from pipeline.cluster.submission import submit as run
    from pipeline.inputs import find_settings

    data = find_version(rev, data_md5=data_md5, remote=remote)
    wanted = find_settings(config, settings or ())
    if push_check:
        check_pushed(data)
    order = make_order(_document(pipeline, image), data, wanted)
    done = run(
        _connect(host, namespace),
        order,
        experiment=experiment,
        force=force,
        allow_tag=allow_tag,
        say=typer.echo,
    )
    typer.echo(f"{done.run.name}: {done.run.state}{'' if done.new else ', as before'}")
    typer.echo(done.url)


@app.command()
def status(
    name: RunArgument = "",
    form: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    host: Host = "",
    namespace: Namespace = "",
) -> None:
    """Show the newest runs, or the tasks of one."""
    from pipeline.cluster.runs import find_run, list_runs

    if form not in ("text", "json"):
        raise UsageError(f"Unknown --format: {form}. Expected: text, json.")
    cluster = _connect(host, namespace)
    found = [find_run(cluster, name)] if name else list(list_runs(cluster))[:20]
    content: Any = [run.to_json() for run in found]
    if form == "json":
        typer.echo(json.dumps(content[0] if name else content, indent=2))
        return
    for run in found:
        typer.echo(f"{run.run_id}  {run.name}  {run.state}")


def _connect(host: str, namespace: str) -> "Cluster":
    from pipeline.cluster.connection import Endpoint, connect

    return connect(Endpoint.from_environment(host=host, namespace=namespace))


def _document(pipeline: Path | None, image: str) -> "Document":
    from pipeline.cluster.document import read_document

    if not pipeline:
        raise UsageError(f"Expected --pipeline FILE. Received: image={image!r}.")
    return read_document(pipeline)
