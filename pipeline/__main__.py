"""The pipeline's command line: `python -m pipeline`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import compile as compiling
from pipeline.cli import (
    doctor,
    finalize,
    gc,
    registry,
    retrain,
    schedule,
    submit,
    sweep,
    train_job,
)
from pipeline.cli import options as opt
from pipeline.cli import runs as cluster_runs
from pipeline.cli import tracking as tracked_runs
from pipeline.cli.options import option
from seglib.cli.terminal import Terminal, run_commands

_COMMANDS = (
    *(compiling, sweep, tracked_runs, registry, submit, cluster_runs, schedule),
    *(retrain, finalize, doctor, train_job, gc),
)


def _new_app() -> typer.Typer:
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        help="""Training, whole: verify → augment → train → evaluate → gate → export.

        [bold]run[/] executes all of it on this machine; [bold]compile[/] writes the
        document that Kubeflow Pipelines takes. Both use the same components, and so
        does [bold]sweep[/], which tries several settings. [bold]doctor[/] examines a
        document.
        [bold]compare[/], [bold]reproduce[/] and [bold]track[/] work on tracked runs,
        [bold]rollback[/], [bold]publish[/] and [bold]verify-lineage[/] on models,
        [bold]submit[/], [bold]status[/], [bold]wait[/], [bold]logs[/], [bold]cancel[/]
        and [bold]schedule[/] on a cluster, where [bold]train-job[/] trains in several
        pods, and [bold]gc[/] frees what nothing needs; CI calls [bold]retrain[/] and
        [bold]finalize[/].
        """,
    )
    for commands in _COMMANDS:
        app.add_typer(commands.app)
    return app


app = _new_app()


class Runner(StrEnum):
    """What a step of a local run is."""

    subprocess = "subprocess"
    docker = "docker"


class Tracking(StrEnum):
    """What a store means for a run that takes no messages."""

    patient = "patient"
    required = "required"


@app.command()
def run(
    data: opt.DataFolder = None,
    config: opt.ConfigFile = None,
    settings: opt.Settings = None,
    runs: opt.Runs = Path("runs"),
    runner: Annotated[
        Runner, option("What a step is: a process, or a container.")
    ] = Runner.subprocess,
    cache: Annotated[bool, option("Reuse what an unchanged step gave before.")] = True,
    name: opt.RunTitle = "",
    tracking: Annotated[
        Tracking, option("While MLflow is away: go on, and send it later, or fail.")
    ] = Tracking.patient,
) -> None:
    """Run the whole pipeline on this machine, and track it in MLflow.

    Without options it takes the dataset that the repository pins. Results go to
    runs/<time>-<name>/, and runs/latest leads to the newest. Steps that nothing
    changed for are reused, and it says so. MLFLOW_TRACKING_URI names a tracking
    server; by default an SQLite store in the folder of runs is used. What it does not
    take in time stays in the run's folder, and the next run sends it.

    The exit status is 0 when all steps went well, whether the model was promoted or
    held back; 1 when a step failed, or tracking that is required; 2 on wrong use; 130
    after Ctrl-C.

    For example:

    python -m pipeline run

    python -m pipeline run --data ~/camvid --config configs/camvid-cpu.yaml

    python -m pipeline run --set epochs=5 --set min_miou=0.6 --name quick
    """
    from pipeline.dag.inputs import find_data, find_settings
    from pipeline.local.execution import execute

    outcome = execute(
        find_settings(config, settings or ()),
        find_data(data),
        runs=runs,
        name=name,
        cache=cache,
        docker=runner is Runner.docker,
        tracking_required=tracking is Tracking.required,
        console=Terminal(),
    )
    raise typer.Exit(outcome.exit_status)


def main() -> None:
    """Run the command line; a problem is one message and a non-zero exit status."""
    run_commands(app)


if __name__ == "__main__":
    main()
