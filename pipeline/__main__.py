"""The pipeline's command line: `python -m pipeline`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import cluster as cli_cluster
from pipeline.cli import compile as cli_compile
from pipeline.cli import doctor as cli_doctor
from pipeline.cli import finalize as cli_finalize
from pipeline.cli import gc as cli_gc
from pipeline.cli import registry as cli_registry
from pipeline.cli import retrain as cli_retrain
from pipeline.cli import sweep as cli_sweep
from pipeline.cli import tracking as cli_tracking
from pipeline.cli import train_job as cli_train_job
from pipeline.cli.options import ConfigFile, Settings
from seglib.cli.terminal import Terminal, run_commands


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
    app.add_typer(cli_compile.app)
    app.add_typer(cli_sweep.app)
    app.add_typer(cli_tracking.app)
    app.add_typer(cli_registry.app)
    app.add_typer(cli_cluster.app)
    app.add_typer(cli_retrain.app)
    app.add_typer(cli_finalize.app)
    app.add_typer(cli_doctor.app)
    app.add_typer(cli_train_job.app)
    app.add_typer(cli_gc.app)
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
    data: Annotated[
        Path | None,
        typer.Option(
            help="A dataset's folder (see docs/data-format.md). "
            "Default: what data.dvc pins.",
            show_default=False,
        ),
    ] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    runs: Annotated[
        Path, typer.Option(help="Where results, cache and tracking store go.")
    ] = Path("runs"),
    runner: Annotated[
        Runner, typer.Option(help="What a step is: a process, or a container.")
    ] = Runner.subprocess,
    cache: Annotated[
        bool, typer.Option(help="Reuse what an unchanged step gave before.")
    ] = True,
    name: Annotated[
        str, typer.Option(help="Part of the run's name, after its time.")
    ] = "",
    tracking: Annotated[
        Tracking,
        typer.Option(
            help="While MLflow is away: go on, and send it later, or fail.",
        ),
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
