"""The command that CI calls when something changed: `retrain`."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options as opt
from pipeline.cli.connection import connect_by_environment
from pipeline.cli.options import option, optional
from seglib.cli.terminal import echo
from seglib.errors import SegError, UsageError

if TYPE_CHECKING:
    from pipeline.ci.git import Git
    from pipeline.ci.github import GitHub
    from pipeline.ci.plan import Plan, Wish


app = typer.Typer()


class Variant(StrEnum):
    """Of the image."""

    cpu = "cpu"
    gpu = "gpu"


@app.command()
def retrain(
    since: Annotated[
        str,
        optional(
            "The revision before, as CI tells it; of a pull request, the branch that "
            "it goes into.",
            envvar="RETRAIN_SINCE",
        ),
    ] = "",
    commit: Annotated[
        str, option("The revision that is trained, and checked out.")
    ] = "HEAD",
    pull_request: Annotated[
        int,
        optional(
            "Train nothing: tell this pull request what it does to the dataset.",
            min=0,
            envvar="RETRAIN_PULL_REQUEST",
        ),
    ] = 0,
    config: Annotated[
        Path | None, optional(opt.CONFIG_FILE, envvar="RETRAIN_CONFIG")
    ] = None,
    settings: Annotated[
        list[str] | None,
        optional(opt.SETTINGS, "--set", metavar="NAME=VALUE", envvar="RETRAIN_SET"),
    ] = None,
    data_rev: Annotated[
        str,
        optional(
            "A revision whose data.dvc is taken, or `<md5>.dir`.",
            envvar="RETRAIN_DATA_REV",
        ),
    ] = "",
    remote: Annotated[str, optional(opt.REMOTE, envvar="RETRAIN_REMOTE")] = "",
    variant: Annotated[
        Variant,
        option("Of the image: for CPUs, or NVIDIA GPUs.", envvar="RETRAIN_VARIANT"),
    ] = Variant.cpu,
    force: Annotated[
        bool,
        option(
            "Train although nothing has changed.", "--force", envvar="RETRAIN_FORCE"
        ),
    ] = False,
    attempt: Annotated[
        str,
        optional(
            "With --force: the same word gives the same run.",
            envvar=["RETRAIN_ATTEMPT", "GITHUB_RUN_ID"],
        ),
    ] = "",
    image: opt.Image = "",
    image_repository: Annotated[
        str,
        optional(
            "Where images are built to, such as registry.example.com/team/seglib.",
            envvar="SEGLIB_IMAGE_REPOSITORY",
        ),
    ] = "",
    cluster: opt.ClusterFile = None,
    checkpoints: opt.Checkpoints = "",
    experiment: opt.Experiment = "",
    dry_run: opt.DryRun = False,
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
    uri, connect = tracking_uri(), connect_by_environment
    run(connect, git, forge, plan, wish, means, tracking_uri=uri, say=echo)


def _show(plan: "Plan") -> None:
    since = plan.before[:12] or "nothing"
    echo(f"commit       {plan.commit[:12]}, compared with {since}")
    for reason in plan.reasons or ("nothing that a training depends on has changed",):
        echo(f"why          {reason}")


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
