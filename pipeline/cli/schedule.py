"""The command `schedule`: recurring runs as a file says."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options as opt
from pipeline.cli.connection import Connect, on_cluster
from seglib.cli.terminal import echo

if TYPE_CHECKING:
    from pipeline.dag.document import Document
    from pipeline.kfp.schedule_file import Schedules
    from pipeline.kfp.schedules import Change, Wanted

app = typer.Typer()

_SIGNS = {"create": "+", "renew": "~", "delete": "-", "keep": "="}


@app.command()
@on_cluster
def schedule(
    connect: Connect,
    file: Annotated[
        Path, typer.Argument(help="Of the recurring runs; see configs/schedules.yaml.")
    ],
    dry_run: opt.DryRun = False,
    image: opt.Image = "",
    pipeline: opt.CompiledPipeline = None,
    cluster: opt.ClusterFile = None,
    checkpoints: opt.Checkpoints = "",
    allow_tag: opt.AllowTag = False,
    push_check: opt.PushCheck = True,
    service_account: opt.ServiceAccount = "",
    pipeline_root: opt.PipelineRoot = "",
) -> None:
    """Make the cluster's recurring runs those of a file: made, changed, removed.

    A recurring run keeps the pipeline, the settings and the version of the data that it
    was made with: run this again after each change of them, as from CI. Recurring runs
    that are up to date stay, so that running it twice changes nothing the second time.
    Only recurring runs of the file's name are touched.

    For example:

    python -m pipeline schedule schedules.yaml --image NAME@sha256:… --dry-run
    """
    from pipeline.dag.cluster_config import ClusterConfig
    from pipeline.dag.compile import require_digest
    from pipeline.kfp.order import document_of
    from pipeline.kfp.schedule_file import read_schedules
    from pipeline.kfp.schedules import Act, apply, existing_schedules, plan

    wanted = read_schedules(file)
    with document_of(
        pipeline,
        image=image,
        cluster=cluster,
        checkpoints=checkpoints,
        allow_tag=allow_tag,
    ) as document:
        require_digest(document.image, allow_tag=allow_tag)
        account = service_account or ClusterConfig.load(cluster).service_account
        folder = file.resolve().parent
        entries = list(
            _entries(wanted, folder, document, push_check, account, pipeline_root)
        )
        reached = connect()
        changes = plan(entries, existing_schedules(reached, wanted.name))
        for change in changes:
            echo(_line(change))
        if not dry_run:
            apply(reached, changes)
    done = sum(change.act is not Act.keep for change in changes)
    echo(f"{done} change(s){', not made: --dry-run' if dry_run and done else ''}")


def _entries(
    wanted: "Schedules",
    folder: Path,
    document: "Document",
    push_check: bool,
    service_account: str,
    pipeline_root: str,
) -> Iterator["Wanted"]:
    from pipeline.dag.inputs import require_splits
    from pipeline.kfp.order import check_pushed, find_version, make_order, settings_of
    from pipeline.kfp.schedules import Wanted

    checked: set[tuple[str, str]] = set()
    for name, entry in wanted.schedules.items():
        data = find_version(entry.rev, data_md5=entry.data_md5, remote=entry.remote)
        config = folder / entry.config if entry.config else None
        settings = settings_of(document, config, entry.settings)
        if push_check and (data.data_md5, data.remote) not in checked:
            check_pushed(data)
            checked.add((data.data_md5, data.remote))
        order = make_order(document, data, settings)
        if push_check:
            require_splits(data, settings, sweep=bool(order.trials))
        document.check_parameters(order.parameters)
        yield Wanted(
            group=wanted.name,
            name=name,
            schedule=entry,
            order=order,
            experiment=wanted.experiment,
            service_account=service_account,
            pipeline_root=pipeline_root,
        )


def _line(change: "Change") -> str:
    sign = _SIGNS.get(change.act, "~")
    when = change.wanted.schedule.when if change.wanted else ""
    text = f"{sign} {change.name:<20} {change.act:<8} {when}"
    return f"{text.rstrip()}{f'  ({change.why})' if change.why else ''}"
