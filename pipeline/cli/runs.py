"""The commands on runs of a cluster: `status`, `wait`, `cancel`, `logs`."""

import json
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.connection import ClusterAddress
from pipeline.cli.options import Every, Form, Longest, OutputForm, grouped, optional
from seglib.cli.help import App
from seglib.cli.options import option
from seglib.cli.terminal import Terminal, echo, write_log

if TYPE_CHECKING:
    from pipeline.kfp.connection import KfpServer

app = App()

Say = Callable[[str], None]

STATUSES = """The exit status is 0 when the run succeeded, 1 when it failed, 2 on wrong
use, 3 when it was canceled, 4 when it still runs after --longest, 6 when the cluster
cannot be reached or refuses, 130 after Ctrl-C."""
_STILL_RUNNING = 4

RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="Its id, its name or a part of that, or `latest`."
    ),
]


@app.command()
@grouped
def status(
    address: ClusterAddress,
    name: RunName = "",
    experiment: Annotated[str, optional("Only runs of this one of KFP.")] = "",
    number: Annotated[int, option("Newest runs.", "-n", min=1)] = 20,
    form: OutputForm = Form.text,
) -> None:
    """Show the newest runs, or one with its steps.

    For example: python -m pipeline status latest --format json
    """
    from pipeline.kfp.runs import find_run, list_runs
    from pipeline.kfp.watching import ending, runs_table, steps_table

    reached = address.connect()
    console = Terminal()
    if name:
        run = find_run(reached, name)
        if form is Form.json:
            page = reached.url("runs", "details", run.run_id)
            typer.echo(json.dumps({**run.to_json(), "url": page}, indent=2))
            return
        echo(ending(run) if run.finished else f"{run.name}: {run.state.lower()}")
        console.print(steps_table(run) if run.steps else run.note or "No steps yet.")
        echo(reached.url("runs", "details", run.run_id))
        return
    runs = list(islice(list_runs(reached, experiment=experiment), number))
    if form is Form.json:
        typer.echo(json.dumps([run.to_json() for run in runs], indent=2))
    else:
        console.print(runs_table(runs) if runs else "No runs yet.")


@app.command(epilog=STATUSES)
@grouped
def wait(
    address: ClusterAddress,
    name: RunName = "latest",
    every: Every = 5.0,
    longest: Longest = 0.0,
) -> None:
    """Show a run's steps as they change, until it ends. Ctrl-C leaves it running.

    For example: python -m pipeline wait latest --longest 90
    """
    from pipeline.kfp.runs import find_run

    reached = address.connect()
    follow(reached, find_run(reached, name).run_id, every, longest, echo)


@app.command()
@grouped
def cancel(address: ClusterAddress, name: RunName) -> None:
    """Have a run stopped. One that has ended stays as it is.

    For example: python -m pipeline cancel latest
    """
    from pipeline.kfp.runs import find_run, terminate
    from pipeline.kfp.watching import ending

    reached = address.connect()
    run = find_run(reached, name)
    if run.finished:
        echo(f"{ending(run)}; there is nothing to stop")
        return
    terminate(reached, run.run_id)
    echo(f"{run.name}: is being stopped; its exit task still reports")


@app.command()
@grouped
def logs(
    address: ClusterAddress,
    name: RunName = "latest",
    step: Annotated[
        str,
        typer.Argument(
            help="Such as train, or train[1] of the second trial. Default: the step "
            "that failed, else that runs.",
            show_default=False,
        ),
    ] = "",
    tail: Annotated[int, option("Only the last lines; 0: all.", min=0)] = 0,
    go_on: Annotated[
        bool, option("Go on until the step ends.", "--follow", "-f")
    ] = False,
    raw: Annotated[bool, option("KFP's and Argo's own lines, too.", "--raw")] = False,
    attempt: Annotated[int, option("Of the step's pods; 0: the newest.", min=0)] = 0,
    every: Every = 5.0,
) -> None:
    """Print what a step printed, while it runs and after its pod is gone.

    It comes from KFP, else from the pod by the Kubernetes API.

    For example: python -m pipeline logs latest train --tail 50
    """
    from pipeline.kfp.logs import find_step, follow_log
    from pipeline.kfp.runs import find_run

    reached = address.connect()
    run = find_run(reached, name)
    found = find_step(run, step)
    echo(f"{run.name}: {found.label}, {found.state.lower()}", err=True)
    if found.message:
        echo(found.message, err=True)
    for text in follow_log(
        reached,
        run,
        found,
        attempt=attempt,
        tail=tail,
        raw=raw,
        every_s=every if go_on else None,
    ):
        write_log(text)


def follow(
    reached: "KfpServer", run_id: str, every: float, longest: float, say: Say
) -> None:
    """Say what changes until the run ends, and exit with its status."""
    from pipeline.kfp.failures import ClusterError
    from pipeline.kfp.runs import EXIT_STATUSES, in_its_place
    from pipeline.kfp.watching import ending
    from pipeline.kfp.watching import follow as watch
    from seglib.runtime.workflow import FAILED

    try:
        run = watch(reached, run_id, say=say, every_s=every, longest_s=60 * longest)
    except (KeyboardInterrupt, ClusterError) as error:
        _say_how_to_return(run_id)
        if isinstance(error, ClusterError):
            raise
        raise typer.Exit(130) from None
    if not run or not run.finished:
        _say_how_to_return(run_id)
        raise typer.Exit(_STILL_RUNNING)
    if other := in_its_place(reached, run):
        say(f"{run.name} gave way to the same run that somebody submitted first")
        follow(reached, other.run_id, every, longest, say)
    say(ending(run))
    if run.state == FAILED:
        echo(f"its log: python -m pipeline logs {run_id}", err=True)
    raise typer.Exit(EXIT_STATUSES[run.state])


def _say_how_to_return(run_id: str) -> None:
    echo(
        f"The run goes on. Back to it: python -m pipeline wait {run_id}\n"
        f"To stop it: python -m pipeline cancel {run_id}",
        err=True,
    )
