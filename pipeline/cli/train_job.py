"""The command `train-job`: one training in several pods of a Kubernetes cluster."""

import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options as opt
from pipeline.cli.options import Compilation, DataVersion, grouped, optional
from pipeline.train_job.plan import LABEL
from seglib.cli.help import App
from seglib.cli.options import option
from seglib.cli.terminal import echo
from seglib.errors import UsageError

if TYPE_CHECKING:
    from pipeline.train_job.plan import Training
    from pipeline.train_job.pod import Spec

app = App()


_STATUSES = {"Complete": 0, "Failed": 1, "Gone": 3, "": 4}


@app.command(
    "train-job",
    epilog="""With --wait the exit status is the job's: 0 when it is complete, 1 when it
failed, 3 when somebody deleted it, 4 when it still runs after --longest, 130 after
Ctrl-C, which leaves it running; 2 on wrong use, 6 when Kubernetes cannot be reached or
refuses.""",
)
@grouped
def train_job(
    nodes: Annotated[
        int, option("Pods, on different nodes where there are any.", min=2)
    ],
    compilation: Compilation,
    version: DataVersion,
    output: Annotated[
        Path | None,
        optional("The YAML file to write. Needed without --wait.", "--output", "-o"),
    ] = None,
    config: opt.ConfigFile = None,
    settings: opt.Settings = None,
    cache: Annotated[
        bool, option("Mount the claim of fetched data, as all nodes can.", "--cache")
    ] = False,
    name: Annotated[
        str, optional("Of the job. Default: by commit, data and content.")
    ] = "",
    push_check: opt.PushCheck = True,
    wait: Annotated[
        bool, option("Start it, and follow its pods' logs to its end.", "--wait")
    ] = False,
    again: Annotated[
        bool, option("Replace a job of the same name that has ended.", "--again")
    ] = False,
    every: opt.Every = 2.0,
    longest: opt.Longest = 0.0,
    context: opt.Context = "",
) -> None:
    """Train one model in several pods of a Kubernetes cluster together.

    Writes what they are (-o), starts and follows them (--wait), or both. Image, data,
    settings and the cluster's file are those of `submit`. Each pod gets what the step
    `train` gets, and runs a process for each of its GPUs; each process takes a part of
    every batch. The outcome stays where the checkpoints are (SEGLIB_CHECKPOINTS, on
    S3, without which no pod starts): a run of the pipeline with the same image, data
    and settings finds it there, trains nothing, and goes on with the evaluation. The
    command for that is printed.
    The same input gives the same bytes.

    For example:

    python -m pipeline train-job --wait --nodes 4 --gpus 1 --config my.yaml
    """
    from pipeline.dag.inputs import find_settings, require_splits
    from pipeline.kfp.order import check_pushed, make_order
    from pipeline.train_job.plan import Training, require_job_name
    from pipeline.train_job.resources import default_name, documents, write_training

    if not (output or wait):
        raise UsageError("Expected -o FILE.yaml, to write the job, --wait, or both.")
    data = version.find()
    wanted = find_settings(config, settings or ())
    # The very document that is submitted afterwards: what it refuses is refused here.
    with compilation.document() as document:
        order = make_order(document, data, wanted)
    training = Training(
        image=document.image,
        parameters=order.parameters,
        cluster=compilation.needs(),
        nodes=nodes,
        checkpoints=compilation.checkpoints,
        cache=cache,
    )
    echo(f"data         {data.data_md5} on {data.remote}")
    echo(f"image        {training.image}")
    if push_check:
        check_pushed(data)
        require_splits(data, wanted)
    name = name or default_name(training, commit=order.commit)
    require_job_name(name, nodes)
    if output:
        write_training(training, output, name=name)
    _tell(training, output, name)
    if wait:
        made = documents(training, name)
        _run(training, made, again, every, longest or math.inf, context)
    words = _submission(config, settings or [], training, compilation)
    echo("The pipeline takes it over, evaluates it and puts it before the gate:")
    echo(f"  {shlex.join(words)}")
    if not wait:
        echo(f"And the job is taken away:\n  {_deletion(training, name)}")


def _tell(training: "Training", output: Path | None, name: str) -> None:
    parts = training.processes
    each = f"{parts} processes each" if parts > 1 else "a process each"
    echo(f"job          {name}, {training.nodes} pods with {each}")
    echo(
        f"checkpoints  {training.place}"
        if training.place
        else f"checkpoints  where {training.place_key} says, which only the cluster "
        "knows: an address on S3, without which no pod starts"
    )
    if output:
        echo(f"written      {output}")
        echo("The same command with --wait starts it and follows it; by hand:")
        echo(f"  kubectl apply -f {shlex.quote(str(output))}")
        echo(f"  {_kubectl(training)} get trainjob,jobset,pod -l {LABEL}={name}")


def _run(
    training: "Training",
    made: "list[Spec]",
    again: bool,
    every: float,
    longest: float,
    context: str,
) -> None:
    """Start a job and follow it; unless it completes, exit with its status."""
    from pipeline.kfp.kubernetes_api import kubernetes_at
    from pipeline.train_job.job import Follower, start

    name = made[-1]["metadata"]["name"]
    kubernetes = kubernetes_at(training.cluster.namespace, context=context)
    follower = Follower(
        kubernetes=kubernetes, name=name, retries=training.needs.retries, say=echo
    )
    on_the_way = (
        f"The same command follows it again. To end it: {_deletion(training, name)}"
    )
    try:
        start(kubernetes, made, again=again, say=echo)
        end = follower.follow(every, longest_s=60 * longest)
    except KeyboardInterrupt:
        echo(f"{name} goes on. {on_the_way}", err=True)
        raise typer.Exit(130) from None
    if end == "Gone":
        echo(f"{name} was deleted; `python -m pipeline track` closes its row in MLflow")
    elif end == "":
        echo(f"{name} still runs. {on_the_way}")
    if status := _STATUSES[end]:
        raise typer.Exit(status)


def _kubectl(training: "Training") -> str:
    return f"kubectl -n {training.cluster.namespace}"


def _deletion(training: "Training", name: str) -> str:
    kinds = ("trainjob", "trainingruntime", "networkpolicy")
    words = " ".join(f"{kind}/{name}" for kind in kinds)
    return f"{_kubectl(training)} delete {words}"


def _submission(
    config: Path | None,
    settings: list[str],
    training: "Training",
    compilation: Compilation,
) -> list[str]:
    """The command whose step `train` finds the outcome: all that decides it."""
    given = {
        "--image": training.image,
        "--data-md5": training.parameters["data_md5"],
        "--remote": training.parameters["remote"],
        "--config": config,
        "--cluster": compilation.cluster,
        "--checkpoints": compilation.checkpoints,
    }
    pairs = [*given.items(), *(("--set", setting) for setting in settings)]
    options = [word for name, value in pairs if value for word in (name, str(value))]
    options += ["--allow-tag"] if compilation.allow_tag else []
    return ["python", "-m", "pipeline", "submit", *options]
