"""The command `sweep`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import options as opt
from pipeline.cli.compile import cluster_config, default_image
from pipeline.cli.options import option, optional
from seglib.cli.terminal import Terminal, echo

app = typer.Typer()


@app.command()
def sweep(
    settings: Annotated[
        list[str],
        optional(
            "What is tried, or changed for all; may be repeated. All combinations are "
            "trained. Example: --set learning_rate=0.001,0.003",
            "--set",
            metavar="NAME=VALUE[,VALUE…]",
        ),
    ],
    data: opt.DataFolder = None,
    config: opt.ConfigFile = None,
    parallel: Annotated[int, option("Trainings at the same time.", min=1)] = 2,
    runs: opt.Runs = Path("runs"),
    name: opt.RunTitle = "sweep",
    output: Annotated[
        Path | None,
        optional(
            "Write the sweep as a document for Kubeflow Pipelines instead. The options "
            "that follow are for it.",
            "--output",
            "-o",
        ),
    ] = None,
    image: opt.Image = "",
    cluster: opt.ClusterFile = None,
    gpus: opt.Gpus = None,
    checkpoints: opt.Checkpoints = "",
    allow_tag: opt.AllowTag = False,
) -> None:
    """Train with several settings, and judge and export the best by val mIoU.

    The test split is seen by the best alone. A trial whose settings were trained before
    is reused, so that a sweep that was stopped, or is extended, goes on where it was.
    One that cannot be trained, as its loss diverges, fails, and the others go on.
    The run's row in MLflow has the settings of the best, and one run below it for each
    trial.

    For example:

    python -m pipeline sweep --set learning_rate=0.001,0.003 --set batch_size=4,8

    python -m pipeline sweep --set encoder=compact,plain -o sweep.yaml --allow-tag
    """
    from pipeline.dag.sweep_trials import plan_sweep

    shared, plan = plan_sweep(config, settings, parallel=parallel)
    if output:
        from pipeline.dag.compile import compile_pipeline

        done = compile_pipeline(
            output,
            image=image or default_image(),
            cluster=cluster_config(cluster, gpus),
            checkpoints=checkpoints,
            allow_tag=allow_tag,
            plan=(shared, plan),
        )
        echo(f"{done.path}: {done.version}, {len(plan.trials)} trials")
        return
    from pipeline.dag.inputs import find_data
    from pipeline.local.execution import execute

    outcome = execute(
        shared,
        find_data(data),
        runs=runs,
        name=name,
        sweep=plan,
        console=Terminal(),
    )
    raise typer.Exit(outcome.exit_status)
