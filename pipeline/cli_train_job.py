"""The command `train-job`: one training in several pods of a Kubernetes cluster."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli_compile import AllowTag, Gpus
from pipeline.cli_options import (
    ClusterFile,
    ConfigFile,
    DataHash,
    Image,
    PushCheck,
    Remote,
    Revision,
    Settings,
)
from seglib.terminal import echo

if TYPE_CHECKING:
    from pipeline.train_plan import Training

app = typer.Typer()


@app.command("train-job")
def train_job(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The YAML file to write.")
    ],
    nodes: Annotated[
        int, typer.Option(min=2, help="Pods, on different nodes where there are any.")
    ],
    config: ConfigFile = None,
    settings: Settings = None,
    image: Image = "",
    cluster: ClusterFile = None,
    gpus: Gpus = None,
    checkpoints: Annotated[
        str,
        typer.Option(
            envvar="SEGLIB_CHECKPOINTS",
            help="s3://bucket/prefix where the training keeps its state and leaves its "
            "outcome. Default: what the cluster's ConfigMap says, without which no pod "
            "starts.",
            show_default=False,
        ),
    ] = "",
    rev: Revision = "",
    data_md5: DataHash = "",
    remote: Remote = "",
    cache: Annotated[
        bool,
        typer.Option(
            "--cache",
            help="Mount the claim of fetched data: one that all nodes can mount. "
            "Default: each pod fetches into a folder of its own.",
        ),
    ] = False,
    name: Annotated[
        str,
        typer.Option(
            help="Of the job. Default: by commit, data and content.", show_default=False
        ),
    ] = "",
    allow_tag: AllowTag = False,
    push_check: PushCheck = True,
) -> None:
    """Write what trains one model in several pods together, for `kubectl apply`.

    Image, data, settings and the cluster's file are those of `submit`. Each pod gets
    what the step `train` gets, and runs a process for each of its GPUs; each process
    takes a part of every batch. The outcome stays where the checkpoints are
    (SEGLIB_CHECKPOINTS, on S3): a run of the pipeline with the same image, data and
    settings finds it there, trains nothing, and goes on with the evaluation. The
    command for that is printed. The same input gives the same bytes.

    For example:

    python -m pipeline train-job -o job.yaml --nodes 4 --gpus 1 --config my.yaml
    """
    from pipeline.cli_compile import needs
    from pipeline.cluster.document import document_of
    from pipeline.cluster.order import check_pushed, find_version, make_order
    from pipeline.inputs import find_settings, require_splits
    from pipeline.train_job import default_name, write_training
    from pipeline.train_plan import Training

    data = find_version(rev, data_md5=data_md5, remote=remote)
    wanted = find_settings(config, settings or ())
    # The very document that is submitted afterwards: what it refuses is refused here.
    with document_of(
        None,
        image=image,
        cluster=cluster,
        checkpoints=checkpoints,
        allow_tag=allow_tag,
    ) as document:
        order = make_order(document, data, wanted)
    training = Training(
        image=document.image,
        parameters=order.parameters,
        cluster=needs(cluster, gpus),
        nodes=nodes,
        checkpoints=checkpoints,
        cache=cache,
    )
    echo(f"data         {data.data_md5} on {data.remote}")
    echo(f"image        {training.image}")
    if push_check:
        check_pushed(data)
        require_splits(data, wanted)
    name = name or default_name(training, commit=order.commit)
    write_training(training, output, name=name)
    _tell(training, output, name)
    words = _submission(config, settings or [], training, cluster, allow_tag=allow_tag)
    echo(f"  {shlex.join(words)}")
    echo(f"And the job is taken away:\n  kubectl delete -f {shlex.quote(str(output))}")


def _tell(training: "Training", output: Path, name: str) -> None:
    from pipeline.train_pod import LABEL

    file, parts = shlex.quote(str(output)), training.processes
    each = f"{parts} processes each" if parts > 1 else "a process each"
    kubectl = f"kubectl -n {training.cluster.namespace}"
    echo(f"written      {output}: {name}, {training.nodes} pods with {each}")
    echo(
        f"checkpoints  {training.place}"
        if training.place
        else f"checkpoints  where {training.place_key} says, which only the cluster "
        "knows: an address on S3, without which no pod starts"
    )
    echo(
        f"It starts:\n  kubectl apply -f {file}\n"
        f"It is watched:\n  {kubectl} get pods -l {LABEL}={name}\n"
        f"  {kubectl} logs -l {LABEL}={name} --prefix --tail=-1 -f"
        f" --max-log-requests={training.nodes}\n"
        f"  {kubectl} wait trainjob/{name} --for=condition=Complete"
        " --timeout=24h\n"
        "Then the pipeline takes it over, evaluates it and puts it before the gate:"
    )


def _submission(
    config: Path | None,
    settings: list[str],
    training: "Training",
    cluster: Path | None,
    *,
    allow_tag: bool,
) -> list[str]:
    """The command whose step `train` finds the outcome: all that decides it."""
    given = training.parameters
    words = ["python", "-m", "pipeline", "submit", "--image", training.image]
    words += ["--data-md5", given["data_md5"], "--remote", given["remote"]]
    if config:
        words += ["--config", str(config)]
    for setting in settings:
        words += ["--set", setting]
    if cluster:
        words += ["--cluster", str(cluster)]
    if training.checkpoints:
        words += ["--checkpoints", training.checkpoints]
    return words + (["--allow-tag"] if allow_tag else [])
