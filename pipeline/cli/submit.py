"""The command `submit`."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options as opt
from pipeline.cli.connection import Connect, on_cluster
from pipeline.cli.options import option
from pipeline.cli.runs import STATUSES, Say, follow
from seglib.cli.terminal import echo

if TYPE_CHECKING:
    from pipeline.kfp.connection import KfpServer
    from pipeline.kfp.submission import Submitted

app = typer.Typer()


@app.command(epilog=STATUSES)
@on_cluster
def submit(
    connect: Connect,
    config: opt.ConfigFile = None,
    settings: opt.Settings = None,
    image: opt.Image = "",
    pipeline: opt.CompiledPipeline = None,
    cluster: opt.ClusterFile = None,
    checkpoints: opt.Checkpoints = "",
    rev: opt.Revision = "",
    data_md5: opt.DataHash = "",
    remote: opt.Remote = "",
    experiment: opt.Experiment = "",
    force: Annotated[
        bool, option("Run although the same run is there already.", "--force")
    ] = False,
    allow_tag: opt.AllowTag = False,
    push_check: opt.PushCheck = True,
    service_account: opt.ServiceAccount = "",
    pipeline_root: opt.PipelineRoot = "",
    wait: Annotated[bool, option("Show its steps until it ends.", "--wait")] = False,
    every: opt.Every = 5.0,
    longest: opt.Longest = 0.0,
    form: opt.OutputForm = opt.Form.text,
) -> None:
    """Start a run on a cluster, or find the one that makes it needless.

    The dataset's version is resolved and checked to be on its remote, the pipeline is
    compiled and uploaded once per content, and the run named by commit and data. Of
    one image, dataset and configuration there is one run, whoever submits it: one that
    has succeeded or is under way is not started again without --force.

    For example:

    python -m pipeline submit --image registry/seglib@sha256:… --config my.yaml --wait
    """
    from pipeline.dag.cluster_config import ClusterConfig
    from pipeline.dag.inputs import check_publication, require_splits
    from pipeline.kfp.order import (
        check_pushed,
        document_of,
        find_version,
        make_order,
        settings_of,
    )
    from pipeline.kfp.submission import submit as start

    say: Say = echo if form is opt.Form.text else lambda text: echo(text, err=True)
    data = find_version(rev, data_md5=data_md5, remote=remote)
    with document_of(
        pipeline,
        image=image,
        cluster=cluster,
        checkpoints=checkpoints,
        allow_tag=allow_tag,
    ) as document:
        wanted = settings_of(document, config, settings or ())
        order = make_order(document, data, wanted)
        say(f"data         {data.data_md5} on {data.remote}")
        say(f"image        {document.image}")
        if push_check:
            check_pushed(data)
            require_splits(data, wanted, sweep=bool(order.trials))
            check_publication(wanted, elsewhere=True)
        account = service_account or ClusterConfig.load(cluster).service_account
        reached = connect()
        done = start(
            reached,
            order,
            experiment=experiment,
            force=force,
            allow_tag=allow_tag,
            service_account=account,
            pipeline_root=pipeline_root,
            say=say,
        )
    _show(done, reached, form)
    if wait and not done.run.finished:
        follow(reached, done.run.run_id, every, longest, say)


def _show(done: "Submitted", reached: "KfpServer", form: opt.Form) -> None:
    from pipeline.kfp.watching import ending

    run = done.run
    if form is opt.Form.json:
        content = {
            "run_id": run.run_id,
            "name": run.name,
            "state": run.state,
            "new": done.new,
            "url": done.url,
        }
        typer.echo(json.dumps(content, indent=2))
        return
    if done.new:
        echo(f"run          {run.name} is started")
    elif run.finished:
        echo(f"run          the same run is there: {ending(run)}. --force repeats it")
    else:
        echo(f"run          the same run is under way: {run.name}")
    echo(f"page         {done.url}")
    if reached.hint:
        echo(f"             reached by: {reached.hint}")
