"""The commands that CI calls: `retrain` and `finalize`."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seglib.errors import SegError, UsageError

if TYPE_CHECKING:
    from pipeline.retraining.forge import Forge
    from pipeline.retraining.git import Git
    from pipeline.retraining.plan import Wish

app = typer.Typer()


class Variant(StrEnum):
    """Of the image."""

    cpu = "cpu"
    gpu = "gpu"


@app.command()
def retrain(
    since: Annotated[
        str,
        typer.Option(
            help="The revision before, as CI tells it; of a pull request, the branch "
            "that it goes into.",
            show_default=False,
        ),
    ] = "",
    commit: Annotated[
        str, typer.Option(help="The revision that is trained, and checked out.")
    ] = "HEAD",
    pull_request: Annotated[
        int,
        typer.Option(
            min=0,
            help="Train nothing: tell this pull request what it does to the dataset.",
            show_default=False,
        ),
    ] = 0,
    config: Annotated[
        Path | None,
        typer.Option(
            help="A YAML file that states what differs from the defaults.",
            show_default=False,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Change one setting; may be repeated.",
            show_default=False,
        ),
    ] = None,
    data_rev: Annotated[
        str,
        typer.Option(
            help="A revision whose data.dvc is taken, or `<md5>.dir`.",
            show_default=False,
        ),
    ] = "",
    remote: Annotated[
        str,
        typer.Option(
            help="s3://bucket/prefix or a folder. Default: DVC's default remote.",
            show_default=False,
        ),
    ] = "",
    variant: Annotated[
        Variant, typer.Option(help="Of the image: for CPUs, or for NVIDIA GPUs.")
    ] = Variant.cpu,
    force: Annotated[
        bool, typer.Option("--force", help="Train although nothing has changed.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and why.")
    ] = False,
) -> None:
    """Train what a commit changed, on the cluster, and come back without waiting."""
    from pipeline.retraining.connection import find_forge
    from pipeline.retraining.git import Git
    from pipeline.retraining.plan import Wish

    git = Git(Path.cwd())
    wish = Wish(
        commit=commit,
        since=since,
        config=config,
        settings=tuple(settings or ()),
        data_revision=data_rev,
        variant=variant.value,
        force=force,
    )
    forge = find_forge(os.environ)
    if pull_request:
        _tell_pull_request(git, wish, pull_request, remote, forge)


def _tell_pull_request(
    git: "Git", wish: "Wish", number: int, remote: str, forge: "Forge | None"
) -> None:
    from pipeline.retraining.connection import missing
    from pipeline.retraining.dataset_diff import describe, find_remote, tell
    from pipeline.retraining.plan import changes_of_branch

    if not wish.since:
        raise UsageError(
            "--pull-request needs --since, the branch that it goes into, such as "
            "--since origin/main."
        )
    start, changes = changes_of_branch(git, wish)
    for reason in changes.reasons or ("nothing that a training depends on",):
        typer.echo(f"changed since {start[:12]}  {reason}")
    found = describe(changes, find_remote(git.root, remote) if changes.data else "")
    told, what = tell(forge, number, found.text, may_create=changes.data)
    if told:
        typer.echo(what)
    elif changes.data:
        why = what if forge else f"no {missing(os.environ)} in the environment"
        typer.echo(f"The comment is printed here instead: {why}\n\n{found.text}")
    if found.missing:
        raise SegError(
            f"{found.missing:,} objects of {changes.new_md5} are not on the remote. "
            "`dvc push` from a machine that has the data brings them."
        )
