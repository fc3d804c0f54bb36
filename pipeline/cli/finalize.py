"""The command that CI calls when a run may have ended: `finalize`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.connection import connect_by_environment
from seglib.cli.terminal import echo
from seglib.errors import SegError, UsageError

if TYPE_CHECKING:
    from pipeline.ci.git import Git

app = typer.Typer()


@app.command()
def finalize(
    what: Annotated[
        str,
        typer.Argument(
            metavar="RUN|COMMIT",
            envvar="FINALIZE_RUN",
            help="A run's id or name, or a commit. Default: every commit of this clone "
            "whose status says that its run is under way.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Tell a commit what became of its run: a status and a comment with the scores.

    The run's end is asked of Kubeflow Pipelines, the verdict and the scores of MLflow
    (MLFLOW_TRACKING_URI). A run that goes on is left for the next time. Telling it
    again changes nothing. Without GITHUB_TOKEN the page is printed.

    For example:

    python -m pipeline finalize

    python -m pipeline finalize HEAD
    """
    from pipeline.ci.finalizing import (
        find_waiting,
        finish_all,
        report,
        waiting_commits,
    )
    from pipeline.ci.git import Git
    from pipeline.ci.github import find_forge, forget_empty
    from seglib.tracking.mlflow_address import tracking_uri

    forget_empty(os.environ)
    uri = tracking_uri()
    forge = find_forge(os.environ)
    if what:
        cluster = connect_by_environment()
        waiting = find_waiting(cluster, forge, _clone(), what)
        report(cluster, forge, waiting, tracking_uri=uri, say=echo)
        return
    if forge is None:
        raise UsageError(
            "Without a forge nobody knows which commits wait. Expected GITHUB_TOKEN "
            "and GITHUB_REPOSITORY in the environment, or the name of a run."
        )
    found = list(waiting_commits(Git(Path.cwd()), forge))
    echo(f"{len(found)} commit(s) wait for their run")
    if found:
        cluster = connect_by_environment()
        finish_all(cluster, forge, found, tracking_uri=uri, say=echo)


def _clone() -> "Git | None":
    """The repository around the current folder; a run is found without one, too."""
    from pipeline.ci.git import Git

    try:
        return Git(Path.cwd())
    except SegError:
        return None
