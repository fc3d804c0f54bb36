"""The commands on runs of a cluster: `submit`, `status`, `wait`, `logs`, `cancel`."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import schedule as cli_schedule
from pipeline.cli.connection import Connect, on_cluster
from pipeline.cli.options import (
    AllowTag,
    ClusterFile,
    CompiledPipeline,
    ConfigFile,
    DataHash,
    Image,
    PushCheck,
    Remote,
    Revision,
    ServiceAccount,
    Settings,
)
from seglib.cli.terminal import Terminal, echo, write_log
from seglib.errors import UsageError

if TYPE_CHECKING:
    from pipeline.kfp.connection import Cluster
    from pipeline.kfp.submission import Submitted


def _new_app() -> typer.Typer:
    app = typer.Typer()
    app.add_typer(cli_schedule.app)
    return app


app = _new_app()

Say = Callable[[str], None]

STILL_RUNNING = 4  # the exit status of a wait that ended before the run
_STATUSES = """The exit status is 0 when the run succeeded, 1 when it failed, 2 on wrong
use, 3 when it was canceled, 4 when it still runs after --longest, 6 when the cluster
cannot be reached or refuses, 130 after Ctrl-C."""

RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="Its id, its name or a part of that, or `latest`."
    ),
]
Form = Annotated[str, typer.Option("--format", help="text or json.")]
Every = Annotated[float, typer.Option(min=0.01, help="Seconds between two looks.")]
Longest = Annotated[
    float, typer.Option(min=0, help="Minutes to wait at most; 0: as long as it takes.")
]


@app.command(epilog=_STATUSES)
@on_cluster
def submit(
    connect: Connect,
    config: ConfigFile = None,
    settings: Settings = None,
    image: Image = "",
    pipeline: CompiledPipeline = None,
    cluster: ClusterFile = None,
    checkpoints: Annotated[
        str,
        typer.Option(
            envvar="SEGLIB_CHECKPOINTS",
            help="s3://bucket/prefix where a training keeps its state, for compiling.",
            show_default=False,
        ),
    ] = "",
    rev: Revision = "",
    data_md5: DataHash = "",
    remote: Remote = "",
    experiment: Annotated[
        str,
        typer.Option(help="Of KFP. Default: the pipeline's name.", show_default=False),
    ] = "",
    force: Annotated[
        bool,
        typer.Option("--force", help="Run although the same run is there already."),
    ] = False,
    allow_tag: AllowTag = False,
    push_check: PushCheck = True,
    service_account: ServiceAccount = "",
    pipeline_root: Annotated[
        str,
        typer.Option(
            help="Where KFP keeps artifacts. Default: the server's.", show_default=False
        ),
    ] = "",
    wait: Annotated[
        bool, typer.Option("--wait", help="Show its steps until it ends.")
    ] = False,
    every: Every = 5.0,
    longest: Longest = 0.0,
    form: Form = "text",
) -> None:
    """Start a run on a cluster, or find the one that makes it needless.

    The dataset's version is resolved and checked to be on its remote, the pipeline is
    compiled and uploaded once per content, and the run named by commit and data. Of
    one image, dataset and configuration there is one run, whoever submits it: one that
    has succeeded or is under way is not started again without --force.

    For example:

    python -m pipeline submit --image registry/seglib@sha256:… --config my.yaml --wait
    """
    from pipeline.dag.inputs import check_publication, require_splits
    from pipeline.kfp.document import document_of, service_account_of
    from pipeline.kfp.order import (
        check_pushed,
        find_version,
        make_order,
        settings_of,
    )
    from pipeline.kfp.submission import submit as start

    _check_form(form)
    say: Say = echo if form == "text" else lambda text: echo(text, err=True)
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
            require_splits(data, wanted, sweep=bool(order.triple.trials))
            check_publication(wanted, elsewhere=True)
        reached = connect()
        done = start(
            reached,
            order,
            experiment=experiment,
            force=force,
            allow_tag=allow_tag,
            service_account=service_account or service_account_of(cluster),
            pipeline_root=pipeline_root,
            say=say,
        )
    _tell(done, reached, form)
    if wait and not done.run.finished:
        _follow(reached, done.run.run_id, every, longest, say)


@app.command()
@on_cluster
def status(
    connect: Connect,
    name: RunName = "",
    experiment: Annotated[
        str, typer.Option(help="Only runs of this one of KFP.", show_default=False)
    ] = "",
    number: Annotated[int, typer.Option("-n", min=1, help="Newest runs.")] = 20,
    form: Form = "text",
) -> None:
    """Show the newest runs, or one with its steps.

    For example: python -m pipeline status latest --format json
    """
    from itertools import islice

    from pipeline.kfp.runs import find_run, list_runs
    from pipeline.kfp.showing import ending, runs_table, steps_table

    _check_form(form)
    reached = connect()
    console = Terminal()
    if name:
        run = find_run(reached, name)
        if form == "json":
            page = reached.url("runs", "details", run.run_id)
            typer.echo(json.dumps({**run.to_json(), "url": page}, indent=2))
            return
        echo(ending(run) if run.finished else f"{run.name}: {run.state.lower()}")
        console.print(steps_table(run) if run.steps else run.note or "No steps yet.")
        echo(reached.url("runs", "details", run.run_id))
        return
    runs = list(islice(list_runs(reached, experiment=experiment), number))
    if form == "json":
        typer.echo(json.dumps([run.to_json() for run in runs], indent=2))
    else:
        console.print(runs_table(runs) if runs else "No runs yet.")


@app.command(epilog=_STATUSES)
@on_cluster
def wait(
    connect: Connect,
    name: RunName = "latest",
    every: Every = 5.0,
    longest: Longest = 0.0,
) -> None:
    """Show a run's steps as they change, until it ends. Ctrl-C leaves it running.

    For example: python -m pipeline wait latest --longest 90
    """
    from pipeline.kfp.runs import find_run

    reached = connect()
    _follow(reached, find_run(reached, name).run_id, every, longest, echo)


@app.command()
@on_cluster
def cancel(connect: Connect, name: RunName) -> None:
    """Have a run stopped. One that has ended stays as it is.

    For example: python -m pipeline cancel latest
    """
    from pipeline.kfp.runs import find_run, terminate
    from pipeline.kfp.showing import ending

    reached = connect()
    run = find_run(reached, name)
    if run.finished:
        echo(f"{ending(run)}; there is nothing to stop")
        return
    terminate(reached, run.run_id)
    echo(f"{run.name}: is being stopped; its exit task still reports")


@app.command()
@on_cluster
def logs(
    connect: Connect,
    name: RunName = "latest",
    step: Annotated[
        str,
        typer.Argument(
            help="Such as train, or train[1] of the second trial. Default: the step "
            "that failed, else that runs.",
            show_default=False,
        ),
    ] = "",
    tail: Annotated[int, typer.Option(min=0, help="Only the last lines; 0: all.")] = 0,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the step ends.")
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="KFP's and Argo's own lines, too.")
    ] = False,
    attempt: Annotated[
        int, typer.Option(min=0, help="Of the step's pods; 0: the newest.")
    ] = 0,
    every: Every = 5.0,
) -> None:
    """Print what a step printed, while it runs and after its pod is gone.

    It comes from KFP, else from the pod by the Kubernetes API.

    For example: python -m pipeline logs latest train --tail 50
    """
    from pipeline.kfp.logs import find_step, follow_log
    from pipeline.kfp.runs import find_run

    reached = connect()
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
        every_s=every if follow else None,
    ):
        write_log(text)


def _check_form(form: str) -> None:
    if form not in ("text", "json"):
        raise UsageError(f"Unknown --format: {form}. Expected: text, json.")


def _tell(done: "Submitted", reached: "Cluster", form: str) -> None:
    from pipeline.kfp.showing import ending

    run = done.run
    if form == "json":
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


def _follow(
    reached: "Cluster", run_id: str, every: float, longest: float, say: Say
) -> None:
    """Tell what changes until the run ends, and exit as it did."""
    from pipeline.kfp.failures import ClusterError
    from pipeline.kfp.runs import EXIT_STATUSES, FAILED, in_its_place
    from pipeline.kfp.showing import ending, news_lines
    from pipeline.kfp.watching import follow

    run = None
    try:
        for news in follow(reached, run_id, every_s=every, longest_s=60 * longest):
            run = news.run
            for line in news_lines(news):
                say(line)
    except (KeyboardInterrupt, ClusterError) as error:
        _tell_way_back(run_id)
        if isinstance(error, ClusterError):
            raise
        raise typer.Exit(130) from None
    if not run or not run.finished:
        _tell_way_back(run_id)
        raise typer.Exit(STILL_RUNNING)
    if other := in_its_place(reached, run):
        say(f"{run.name} gave way to the same run that somebody submitted first")
        _follow(reached, other.run_id, every, longest, say)
    say(ending(run))
    if run.state == FAILED:
        echo(f"its log: python -m pipeline logs {run_id}", err=True)
    raise typer.Exit(EXIT_STATUSES[run.state])


def _tell_way_back(run_id: str) -> None:
    echo(
        f"The run goes on. Back to it: python -m pipeline wait {run_id}\n"
        f"To stop it: python -m pipeline cancel {run_id}",
        err=True,
    )
