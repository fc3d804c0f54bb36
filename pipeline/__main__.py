"""The pipeline's command line: `python -m pipeline`."""

import typer

from pipeline.cli import (
    ci,
    doctor,
    gc,
    pipelines,
    registry,
    runs,
    submit,
    tracking,
    train_job,
)
from seglib.cli.terminal import run_commands


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
    rooms = (pipelines, tracking, registry, submit, runs, ci, doctor, train_job, gc)
    for commands in rooms:
        app.add_typer(commands.app)
    return app


app = _new_app()


def main() -> None:
    """Run the command line; a problem is one message and a non-zero exit status."""
    run_commands(app)


if __name__ == "__main__":
    main()
