"""The command that CI calls when something changed: `retrain`."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seglib.cli.terminal import echo
from seglib.errors import SegError, UsageError

if TYPE_CHECKING:
    from pipeline.ci.git import Git
    from pipeline.ci.github import GitHub
    from pipeline.ci.plan import Plan, Wish
    from pipeline.kfp.connection import Cluster


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
            envvar="RETRAIN_SINCE",
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
            envvar="RETRAIN_PULL_REQUEST",
            help="Train nothing: tell this pull request what it does to the dataset.",
            show_default=False,
        ),
    ] = 0,
    config: Annotated[
        Path | None,
        typer.Option(
            envvar="RETRAIN_CONFIG",
            help="A YAML file that states what differs from the defaults.",
            show_default=False,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            envvar="RETRAIN_SET",
            help="Change one setting; may be repeated.",
            show_default=False,
        ),
    ] = None,
    data_rev: Annotated[
        str,
        typer.Option(
            envvar="RETRAIN_DATA_REV",
            help="A revision whose data.dvc is taken, or `<md5>.dir`.",
            show_default=False,
        ),
    ] = "",
    remote: Annotated[
        str,
        typer.Option(
            envvar="RETRAIN_REMOTE",
            help="s3://bucket/prefix or a folder. Default: DVC's default remote.",
            show_default=False,
        ),
    ] = "",
    variant: Annotated[
        Variant,
        typer.Option(
            envvar="RETRAIN_VARIANT", help="Of the image: for CPUs, or for NVIDIA GPUs."
        ),
    ] = Variant.cpu,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            envvar="RETRAIN_FORCE",
            help="Train although nothing has changed.",
        ),
    ] = False,
    attempt: Annotated[
        str,
        typer.Option(
            envvar=["RETRAIN_ATTEMPT", "GITHUB_RUN_ID"],
            help="With --force: the same word gives the same run.",
            show_default=False,
        ),
    ] = "",
    image: Annotated[
        str,
        typer.Option(
            envvar="SEGLIB_IMAGE",
            help="Take this image, NAME@sha256:…, instead of building one.",
            show_default=False,
        ),
    ] = "",
    image_repository: Annotated[
        str,
        typer.Option(
            envvar="SEGLIB_IMAGE_REPOSITORY",
            help="Where images are built to, such as registry.example.com/team/seglib.",
            show_default=False,
        ),
    ] = "",
    cluster: Annotated[
        Path | None,
        typer.Option(
            help="A YAML file of what the steps' pods need. Default: "
            "configs/cluster.yaml where it is there.",
            show_default=False,
        ),
    ] = None,
    checkpoints: Annotated[
        str,
        typer.Option(
            envvar="SEGLIB_CHECKPOINTS",
            help="s3://bucket/prefix where a training keeps its state.",
            show_default=False,
        ),
    ] = "",
    experiment: Annotated[
        str, typer.Option(help="Of KFP. Default: the pipeline's name.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and why.")
    ] = False,
) -> None:
    """Train what a commit changed, on the cluster, and come back without waiting.

    What changed since the last commit that was handled decides: the dataset, the code,
    the configuration or what the image is made of. Then the image is built (or found
    by its inputs), the pipeline compiled, examined by the doctor and submitted, once
    the dataset is seen to be on its remote. The commit's status leads to the run. Doing
    it again, or twice at once, gives the same run.

    The forge is GitHub: GITHUB_TOKEN, GITHUB_REPOSITORY, GITHUB_API_URL. Without them
    it is told nothing. The cluster is found as by `submit`.

    For example:

    python -m pipeline retrain --since HEAD~1 --config configs/sample.yaml --dry-run

    python -m pipeline retrain --pull-request 12 --since origin/main

    python -m pipeline retrain --force --set epochs=40
    """
    from pipeline.ci.git import Git
    from pipeline.ci.github import find_forge, forget_empty
    from pipeline.ci.plan import Wish
    from pipeline.ci.retrain import plan_for
    from pipeline.ci.retrain import retrain as run
    from pipeline.ci.submitting import Means
    from pipeline.dag.inputs import find_settings
    from seglib.tracking.mlflow_address import tracking_uri

    forget_empty(os.environ)
    git = Git(Path.cwd())
    wish = Wish(
        commit=commit,
        since=since,
        config=config,
        settings=tuple(settings or ()),
        data_revision=data_rev,
        variant=variant.value,
        force=force,
        attempt=attempt,
    )
    forge = find_forge(os.environ)
    if pull_request:
        _tell_pull_request(git, wish, pull_request, remote, forge)
        return
    plan = plan_for(git, forge, wish)
    _show(plan)
    if dry_run:
        find_settings(config and git.root / config, wish.settings)
        return
    means = Means(
        image=image,
        image_repository=image_repository,
        cluster_file=cluster,
        remote=remote,
        checkpoints=checkpoints,
        experiment=experiment,
    )
    run(
        _connect,
        git,
        forge,
        plan,
        wish,
        means,
        tracking_uri=tracking_uri(),
        say=_say,
    )


def _connect() -> "Cluster":
    from pipeline.kfp.connection import connect
    from pipeline.kfp.endpoint import Endpoint

    return connect(Endpoint.from_environment())


def _show(plan: "Plan") -> None:
    since = plan.before[:12] or "nothing"
    _say(f"commit       {plan.commit[:12]}, compared with {since}")
    for reason in plan.reasons or ("nothing that a training depends on has changed",):
        _say(f"why          {reason}")


def _say(text: str) -> None:
    echo(text)


def _tell_pull_request(
    git: "Git", wish: "Wish", number: int, remote: str, forge: "GitHub | None"
) -> None:
    from pipeline.ci.dataset_diff import describe, find_remote, tell
    from pipeline.ci.github import missing
    from pipeline.ci.plan import changes_of_branch

    if not wish.since:
        raise UsageError(
            "--pull-request needs --since, the branch that it goes into, such as "
            "--since origin/main."
        )
    start, changes = changes_of_branch(git, wish)
    for reason in changes.reasons or ("nothing that a training depends on",):
        echo(f"changed since {start[:12]}  {reason}")
    found = describe(changes, find_remote(git.root, remote) if changes.data else "")
    told, what = tell(forge, number, found.text, may_create=changes.data)
    if told:
        echo(what)
    elif changes.data:
        why = what if forge else f"no {missing(os.environ)} in the environment"
        echo(f"The comment is printed here instead: {why}\n\n{found.text}")
    if found.missing:
        raise SegError(
            f"{found.missing:,} objects of {changes.new_md5} are not on the remote. "
            "`dvc push` from a machine that has the data brings them."
        )
