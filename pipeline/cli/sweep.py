"""The command `sweep`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.compile import (
    Checkpoints,
    ClusterFile,
    Gpus,
    Image,
    default_image,
    needs,
)
from pipeline.cli.options import AllowTag, ConfigFile
from seglib.cli.terminal import Terminal, echo

app = typer.Typer()


@app.command()
def sweep(
    settings: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="NAME=VALUE[,VALUE…]",
            help="What is tried, or changed for all; may be repeated. All combinations "
            "are trained. Example: --set learning_rate=0.001,0.003",
            show_default=False,
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            help="A dataset's folder. Default: what data.dvc pins.", show_default=False
        ),
    ] = None,
    config: ConfigFile = None,
    parallel: Annotated[
        int, typer.Option(min=1, help="Trainings at the same time.")
    ] = 2,
    runs: Annotated[
        Path, typer.Option(help="Where results, cache and tracking store go.")
    ] = Path("runs"),
    name: Annotated[
        str, typer.Option(help="Part of the run's name, after its time.")
    ] = "sweep",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write the sweep as a document for Kubeflow Pipelines instead. The "
            "options that follow are for it.",
            show_default=False,
        ),
    ] = None,
    image: Image = "",
    cluster: ClusterFile = None,
    gpus: Gpus = None,
    checkpoints: Checkpoints = "",
    allow_tag: AllowTag = False,
) -> None:
    """Train with several settings, and judge and export the best by val mIoU.

    The test split is seen by the best alone. A trial whose settings were trained before
    is reused, so that a sweep that was stopped, or is extended, goes on where it was.
    One that cannot be trained, as its loss diverges, falls out: the others go on.
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
            cluster=needs(cluster, gpus),
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
