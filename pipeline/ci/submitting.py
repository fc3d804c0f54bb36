"""From a plan to a run on the cluster."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.ci.git import PIN, Git
from pipeline.ci.plan import Plan, Wish
from seglib.config import Config
from seglib.errors import SegError, UsageError

if TYPE_CHECKING:
    from pipeline.dag.document import Document
    from pipeline.dag.inputs import Data
    from pipeline.kfp.connection import KfpServer
    from pipeline.kfp.runs import Run

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Means:
    """What a submission is made with.

    Attributes:
        image: by its digest; empty: it is built, or found where it was built before.
        image_repository: in the registry, where images are built to.
        cluster_file: what the steps' pods need; None: the default.
        remote: of the dataset; empty: DVC's default remote.
        checkpoints: where the training step keeps its state.
        experiment: of KFP; empty: the pipeline's name.
        docker: the program that builds images.
    """

    image: str = ""
    image_repository: str = ""
    cluster_file: Path | None = None
    remote: str = ""
    checkpoints: str = ""
    experiment: str = ""
    docker: str = "docker"


def start_run(
    cluster: "KfpServer", git: Git, plan: Plan, wish: Wish, means: Means, *, say: Say
) -> "Run":
    """Have the run of a plan on the cluster, and come back without waiting for it.

    The same command again gives the same run.

    Raises:
        UsageError: no image is named, and no place to build one to.
        SegError: the checkout is another, the dataset is not on its remote, the image
            cannot be built, the doctor finds errors, or the cluster refuses.
    """
    from pipeline.dag.inputs import check_publication, find_settings, require_splits
    from pipeline.kfp.order import check_pushed, find_version

    _require_checkout(git, plan.commit)
    config = find_settings(wish.config and git.root / wish.config, wish.settings)
    data = find_version(data_md5=plan.data_md5, pin=git.root / PIN, remote=means.remote)
    check_pushed(data)
    require_splits(data, config)
    check_publication(config, elsewhere=True)
    say(f"data         all objects of {plan.data_md5} are on {data.remote}")
    image = _find_image(git, plan, wish, means, say)
    run = _submit(cluster, plan, wish, means, image, data, config, say)
    say(f"run          {run.name}: {run.state.lower()}")
    return run


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


def _find_image(git: Git, plan: Plan, wish: Wish, means: Means, say: Say) -> str:
    from pipeline.ci.image import provide_image

    if means.image:
        say(f"image        {means.image}")
        return means.image
    if not means.image_repository:
        raise UsageError(
            "No image. Expected --image-repository (SEGLIB_IMAGE_REPOSITORY), where it "
            "is built to, or --image NAME@sha256:…, one that is there."
        )
    image = provide_image(
        git,
        plan.commit,
        repository=means.image_repository,
        variant=wish.variant,
        docker=means.docker,
    )
    how = "built and pushed" if image.built else "of the same inputs, as before"
    say(f"image        {image.reference} ({how})")
    return image.reference


def _submit(
    cluster: "KfpServer",
    plan: Plan,
    wish: Wish,
    means: Means,
    image: str,
    data: "Data",
    config: Config,
    say: Say,
) -> "Run":
    from pipeline.kfp.order import make_order
    from pipeline.kfp.submission import submit

    with tempfile.TemporaryDirectory() as place:
        document = _compile(Path(place), image, data, means, say)
        order = make_order(document, data, config, commit=plan.commit)
        return submit(
            cluster,
            order,
            experiment=means.experiment,
            force=wish.force,
            again=wish.again,
            say=say,
        ).run


def _compile(
    place: Path, image: str, data: "Data", means: Means, say: Say
) -> "Document":
    """Compile the pipeline for the image, and have the doctor look at it."""
    from pipeline.dag.cluster_config import ClusterConfig
    from pipeline.dag.compile import compile_pipeline
    from pipeline.dag.document import read_document
    from pipeline.preflight import checkup

    path = place / "pipeline.yaml"
    needs = ClusterConfig.load(means.cluster_file)
    compile_pipeline(path, image=image, cluster=needs, checkpoints=means.checkpoints)
    diagnosis = checkup.examine(path, data=data)
    for finding in diagnosis.findings:
        say(f"doctor       {finding.code} {finding.where}: {finding.what}")
    if diagnosis.fails():
        raise SegError(
            f"The doctor finds {diagnosis.errors} error(s) in the compiled pipeline, "
            "so it is not submitted. `python -m pipeline doctor --explain CODE` says "
            "what to do."
        )
    document = read_document(path)
    say(f"document     {document.version}, {diagnosis.warnings} warning(s)")
    return document
