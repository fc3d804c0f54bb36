"""Retraining a commit: the plan, the run, and the commit's status."""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline.ci.git import PIN, Git
from pipeline.ci.github import ForgeError, GitHub, State, Status
from pipeline.ci.image import provide_image
from pipeline.ci.plan import Plan, Wish, make_plan
from pipeline.ci.reporter import CONTEXT, Reporter, Waiting, run_in
from seglib.errors import SegError, UsageError

if TYPE_CHECKING:
    from pipeline.kfp.connection import KfpServer

Say = Callable[[str], None]


def plan_for(git: Git, forge: GitHub | None, wish: Wish) -> Plan:
    """The plan, with what the forge knows of earlier commits."""

    def was_handled(commit: str) -> bool:
        status = forge.status(commit, CONTEXT) if forge else None
        return status is not None and status.state is not State.error

    return make_plan(git, wish, was_handled=was_handled if forge else None)


def retrain(
    connect: "Callable[[], KfpServer]",
    git: Git,
    forge: GitHub | None,
    plan: Plan,
    wish: Wish,
    *,
    tracking_uri: str,
    say: Say,
) -> None:
    """Carry out a plan, and report it in the commit's status.

    Args:
        connect: reaches the cluster; called only if it is needed.
        forge: None: there is none to tell.
        tracking_uri: of the MLflow server, for a run that has ended already.
        say: is told what happens, a line at a time.

    Raises:
        SegError: it could not be submitted; the commit's status says why, too.
    """
    if not plan.reasons:
        # A commit that has a status was handled before; that stays.
        if forge and forge.status(plan.commit, CONTEXT) is None:
            text = f"nothing to train: as {plan.before[:12]}"
            forge.set_status(plan.commit, Status(CONTEXT, State.success, text))
        return
    try:
        cluster = connect()
        run_id = start_run(cluster, git, plan, wish, say=say)
    except SegError as error:
        if forge:
            with suppress(ForgeError):  # the first error is the one to read
                _tell_error(forge, plan.commit, error)
        raise
    reporter = Reporter(
        cluster=cluster, forge=forge, tracking_uri=tracking_uri, say=say
    )
    reporter.report(Waiting(plan.commit, run_id))
    say(f"page         {cluster.url('runs', 'details', run_id)}")


def start_run(
    cluster: "KfpServer", git: Git, plan: Plan, wish: Wish, *, say: Say
) -> str:
    """Have the run of a plan on the cluster, without waiting for it; returns its id.

    The same command again gives the same run.

    Raises:
        SegError: the checkout is another, the dataset is not on its remote, the image
            cannot be built, the doctor finds errors, or the cluster refuses.
    """
    from pipeline.dag.inputs import check_publication, find_settings, require_splits
    from pipeline.kfp.order import check_pushed, document_of, find_version, make_order
    from pipeline.kfp.submission import submit
    from pipeline.preflight.checkup import examine

    _require_checkout(git, plan.commit)
    config = find_settings(wish.config and git.root / wish.config, wish.settings)
    data = find_version(data_md5=plan.data_md5, pin=git.root / PIN, remote=wish.remote)
    check_pushed(data)
    require_splits(data, config)
    check_publication(config, elsewhere=True)
    say(f"data         all objects of {plan.data_md5} are on {data.remote}")
    image = _find_image(git, plan, wish, say)
    with document_of(
        None, image=image, cluster=wish.cluster, checkpoints=wish.checkpoints
    ) as document:
        diagnosis = examine(document.path, data=data)
        for finding in diagnosis.findings:
            say(f"doctor       {finding.code} {finding.where}: {finding.what}")
        if diagnosis.fails():
            raise SegError(
                f"The doctor finds {diagnosis.errors} error(s) in the compiled "
                "pipeline, so it is not submitted. `python -m pipeline doctor "
                "--explain CODE` says what to do."
            )
        say(f"document     {document.version}, {diagnosis.warnings} warning(s)")
        run = submit(
            cluster,
            make_order(document, data, config, commit=plan.commit),
            experiment=wish.experiment,
            force=wish.force,
            again=wish.again,
            say=say,
        ).run
    say(f"run          {run.name}: {run.state.lower()}")
    return run.run_id


def _require_checkout(git: Git, commit: str) -> None:
    """The image and the document are made of the files that lie here."""
    here = git.commit("HEAD")
    if here != commit:
        raise UsageError(
            f"The commit {commit[:12]} is to be trained, but {here[:12]} is checked "
            f"out. `git checkout {commit[:12]}` first."
        )
    if changed := git.uncommitted():
        raise SegError(
            "Files differ from the commit that is to be trained: "
            f"{', '.join(changed[:5])}. Commit or stash them."
        )


def _find_image(git: Git, plan: Plan, wish: Wish, say: Say) -> str:
    """The image that is named, else that of the commit's files."""
    if wish.image:
        say(f"image        {wish.image}")
        return wish.image
    if not wish.image_repository:
        raise UsageError(
            "No image. Expected --image-repository (SEGLIB_IMAGE_REPOSITORY), where it "
            "is built to, or --image NAME@sha256:…, one that is there."
        )
    image = provide_image(
        git, plan.commit, repository=wish.image_repository, variant=wish.variant
    )
    how = "built and pushed" if image.built else "of the same inputs, as before"
    say(f"image        {image.reference} ({how})")
    return image.reference


def _tell_error(forge: GitHub, commit: str, error: SegError) -> None:
    """Say on the commit that nothing was submitted, unless somebody else did."""
    status = forge.status(commit, CONTEXT)
    if status is None or not run_in(status):
        lines = str(error).splitlines()
        text = f"not submitted: {lines[0]}"
        if getattr(error, "kind", "") == "half-made":
            text = lines[1]  # what became of what KFP does not list
        forge.set_status(commit, Status(CONTEXT, State.error, text))
