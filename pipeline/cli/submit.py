"""The commands `submit`, and `schedule`: recurring runs as a file says."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options as opt
from pipeline.cli.connection import ClusterAddress
from pipeline.cli.options import DataVersion, Submission, grouped
from pipeline.cli.runs import STATUSES, Say, follow
from seglib.cli.help import App
from seglib.cli.options import option
from seglib.cli.terminal import echo

if TYPE_CHECKING:
    from pipeline.dag.document import Document
    from pipeline.kfp.connection import KfpServer
    from pipeline.kfp.schedule_file import Schedules
    from pipeline.kfp.schedules import Change, Wanted
    from pipeline.kfp.submission import Submitted

app = App()

_SIGNS = {"create": "+", "renew": "~", "delete": "-", "keep": "="}


@app.command(epilog=STATUSES)
@grouped
def submit(
    address: ClusterAddress,
    how: Submission,
    data: DataVersion,
    config: opt.ConfigFile = None,
    settings: opt.Settings = None,
    experiment: opt.Experiment = "",
    force: Annotated[
        bool, option("Run although the same run is there already.", "--force")
    ] = False,
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
    from pipeline.dag.inputs import check_publication, require_splits
    from pipeline.kfp.order import check_pushed, make_order, settings_of
    from pipeline.kfp.submission import submit as start

    say: Say = echo if form is opt.Form.text else lambda text: echo(text, err=True)
    found = data.find()
    with how.document(how.pipeline) as document:
        wanted = settings_of(document, config, settings or ())
        order = make_order(document, found, wanted)
        say(f"data         {found.data_md5} on {found.remote}")
        say(f"image        {document.image}")
        if how.push_check:
            check_pushed(found)
            require_splits(found, wanted, sweep=bool(order.trials))
            check_publication(wanted, elsewhere=True)
        reached = address.connect()
        done = start(
            reached,
            order,
            experiment=experiment,
            force=force,
            allow_tag=how.allow_tag,
            service_account=how.account(),
            pipeline_root=how.pipeline_root,
            say=say,
        )
    _show(done, reached, form)
    if wait and not done.run.finished:
        follow(reached, done.run.run_id, every, longest, say)


@app.command()
@grouped
def schedule(
    address: ClusterAddress,
    how: Submission,
    file: Annotated[
        Path, typer.Argument(help="Of the recurring runs; see configs/schedules.yaml.")
    ],
    dry_run: opt.DryRun = False,
) -> None:
    """Make the cluster's recurring runs those of a file: made, changed, removed.

    A recurring run keeps the pipeline, the settings and the version of the data that it
    was made with: run this again after each change of them, as from CI. Recurring runs
    that are up to date stay, so that running it twice changes nothing the second time.
    Only recurring runs of the file's name are touched.

    For example:

    python -m pipeline schedule schedules.yaml --image NAME@sha256:… --dry-run
    """
    from pipeline.dag.compile import require_digest
    from pipeline.kfp.schedule_file import read_schedules
    from pipeline.kfp.schedules import Act, apply, existing_schedules, plan

    wanted = read_schedules(file)
    with how.document(how.pipeline) as document:
        require_digest(document.image, allow_tag=how.allow_tag)
        entries = list(_entries(wanted, file.resolve().parent, document, how))
        reached = address.connect()
        changes = plan(entries, existing_schedules(reached, wanted.name))
        for change in changes:
            echo(_line(change))
        if not dry_run:
            apply(reached, changes)
    done = sum(change.act is not Act.keep for change in changes)
    echo(f"{done} change(s){', not made: --dry-run' if dry_run and done else ''}")


def _show(done: "Submitted", reached: "KfpServer", form: opt.Form) -> None:
    from pipeline.kfp.watching import ending

    run = done.run
    if form is opt.Form.json:
        found = {"run_id": run.run_id, "name": run.name, "state": run.state}
        content = {**found, "new": done.new, "url": done.url}
        typer.echo(json.dumps(content, indent=2))
        return
    if done.new:
        told = f"{run.name} is started"
    elif run.finished:
        told = f"the same run is there: {ending(run)}. --force repeats it"
    else:
        told = f"the same run is under way: {run.name}"
    echo(f"run          {told}")
    echo(f"page         {done.url}")
    if reached.hint:
        echo(f"             reached by: {reached.hint}")


def _entries(
    wanted: "Schedules", folder: Path, document: "Document", how: Submission
) -> Iterator["Wanted"]:
    from pipeline.dag.inputs import require_splits
    from pipeline.kfp.order import check_pushed, find_version, make_order, settings_of
    from pipeline.kfp.schedules import Wanted

    account, checked = how.account(), set[tuple[str, str]]()
    for name, entry in wanted.schedules.items():
        data = find_version(entry.rev, data_md5=entry.data_md5, remote=entry.remote)
        config = folder / entry.config if entry.config else None
        settings = settings_of(document, config, entry.settings)
        if how.push_check and (data.data_md5, data.remote) not in checked:
            check_pushed(data)
            checked.add((data.data_md5, data.remote))
        order = make_order(document, data, settings)
        if how.push_check:
            require_splits(data, settings, sweep=bool(order.trials))
        document.check_parameters(order.parameters)
        yield Wanted(
            group=wanted.name,
            name=name,
            schedule=entry,
            order=order,
            experiment=wanted.experiment,
            service_account=account,
            pipeline_root=how.pipeline_root,
        )


def _line(change: "Change") -> str:
    sign = _SIGNS.get(change.act, "~")
    when = change.wanted.schedule.when if change.wanted else ""
    text = f"{sign} {change.name:<20} {change.act:<8} {when}"
    return f"{text.rstrip()}{f'  ({change.why})' if change.why else ''}"
