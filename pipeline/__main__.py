"""The pipeline's command line: `python -m pipeline`."""

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
from seglib.cli.help import App
from seglib.cli.terminal import run_commands


def _new_app() -> App:
    app = App(
        add_completion=False,
        help="""Training, whole: verify → augment → train → evaluate → gate → export.

        `run` executes all of it on this machine; `compile` writes the
        document that Kubeflow Pipelines takes. Both use the same components, and so
        does `sweep`, which tries several settings. `doctor` examines a
        document.
        `compare`, `reproduce` and `track` work on tracked runs,
        `rollback`, `publish` and `verify-lineage` on models,
        `submit`, `status`, `wait`, `logs`, `cancel`
        and `schedule` on a cluster, where `train-job` trains in several
        pods, and `gc` frees what nothing needs; CI calls `retrain` and
        `finalize`.
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
