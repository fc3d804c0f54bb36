"""The commands that CI calls: `retrain` and `finalize`."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options as opt
from pipeline.cli.connection import connect_by_environment
from pipeline.cli.options import optional
from seglib.cli.help import App
from seglib.cli.options import option
from seglib.cli.terminal import echo
from seglib.errors import SegError, UsageError

if TYPE_CHECKING:
    from pipeline.ci.git import Git
    from pipeline.ci.github import GitHub
    from pipeline.ci.plan import Wish

app = App()


class Variant(StrEnum):
    """Of the image."""

    cpu = "cpu"
    gpu = "gpu"


@app.command(context_settings={"auto_envvar_prefix": "RETRAIN"})
def retrain(
    since: Annotated[
        str,
        optional("The revision before; of a pull request, the branch it goes into."),
    ] = "",
    commit: Annotated[
        str, option("The revision that is trained, and checked out.")
    ] = "HEAD",
    pull_request: Annotated[
        int, optional("Train nothing: tell this one what it does to the data.", min=0)
    ] = 0,
    config: opt.ConfigFile = None,
    settings: Annotated[
        list[str] | None,
        optional(opt.SETTINGS, "--set", metavar="NAME=VALUE", envvar="RETRAIN_SET"),
    ] = None,
    data_rev: Annotated[
        str, optional("A revision whose data.dvc is taken, or `<md5>.dir`.")
    ] = "",
    remote: opt.Remote = "",
    variant: Annotated[
        Variant, option("Of the image: for CPUs, or NVIDIA GPUs.")
    ] = Variant.cpu,
    force: Annotated[
        bool, option("Train although nothing has changed.", "--force")
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
    from pipeline.dag.inputs import find_settings
    from seglib.tracking.mlflow_address import tracking_uri

    forget_empty(os.environ)
    git, forge = Git(Path.cwd()), find_forge(os.environ)
    wish = Wish(
        commit=commit,
        since=since,
        config=config,
        settings=tuple(settings or ()),
        data_revision=data_rev,
        remote=remote,
        variant=variant.value,
        force=force,
        attempt=attempt,
        image=image,
        image_repository=image_repository,
        cluster=cluster,
        checkpoints=checkpoints,
        experiment=experiment,
    )
    if pull_request:
        _tell_pull_request(git, wish, pull_request, forge)
        return
    plan = plan_for(git, forge, wish)
    since = plan.before[:12] or "nothing"
    echo(f"commit       {plan.commit[:12]}, compared with {since}")
    for reason in plan.reasons or ("nothing that a training depends on has changed",):
        echo(f"why          {reason}")
    if dry_run:
        find_settings(config and git.root / config, wish.settings)
        return
    uri, connect = tracking_uri(), connect_by_environment
    run(connect, git, forge, plan, wish, tracking_uri=uri, say=echo)


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
    from pipeline.ci.git import Git
    from pipeline.ci.github import find_forge, forget_empty, missing
    from pipeline.ci.reporter import Reporter, waiting_commits
    from seglib.tracking.mlflow_address import tracking_uri

    forget_empty(os.environ)
    uri, forge = tracking_uri(), find_forge(os.environ)
    found = []
    if not what:
        if forge is None:
            raise UsageError(
                "Without a forge nobody knows which commits wait. Expected "
                f"{missing(os.environ)} in the environment, or the name of a run."
            )
        found = list(waiting_commits(Git(Path.cwd()), forge))
        echo(f"{len(found)} commit(s) wait for their run")
        if not found:
            return
    reporter = Reporter(
        cluster=connect_by_environment(), forge=forge, tracking_uri=uri, say=echo
    )
    if what:
        try:
            git = Git(Path.cwd())
        except SegError:
            git = None  # a run is found without a clone, too
        reporter.report(reporter.find(what, git))
    reporter.report_all(found)


def _tell_pull_request(
    git: "Git", wish: "Wish", number: int, forge: "GitHub | None"
) -> None:
    from pipeline.ci.github import missing
    from pipeline.ci.plan import changes_of_branch
    from pipeline.ci.pull_request import describe, tell
    from seglib.storage.pins import default_remote

    if not wish.since:
        raise UsageError(
            "--pull-request needs --since, the branch that it goes into, such as "
            "--since origin/main."
        )
    start, changes = changes_of_branch(git, wish)
    for reason in changes.reasons or ("nothing that a training depends on",):
        echo(f"changed since {start[:12]}  {reason}")
    is_new = changes.old_md5 != changes.new_md5
    remote = (wish.remote or default_remote(git.root)) if is_new else ""
    text, absent = describe(changes, remote)
    told, why = False, f"no {missing(os.environ)} in the environment"
    if forge:
        told, why = tell(forge, number, text, may_create=is_new)
    if told:
        echo(why)
    elif is_new:
        echo(f"The comment is printed here instead: {why}\n\n{text}")
    if absent:
        raise SegError(
            f"{absent:,} objects of {changes.new_md5} are not on the remote. "
            "`dvc push` from a machine that has the data brings them."
        )
