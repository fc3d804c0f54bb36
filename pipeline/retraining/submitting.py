"""From a plan to a run on the cluster: one, however often and by however many asked."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.retraining.changes import PIN
from pipeline.retraining.facts import described
from pipeline.retraining.git import Git
from pipeline.retraining.plan import Plan, Wish
from seglib.config import Config
from seglib.errors import SegError, UsageError

if TYPE_CHECKING:
    from pipeline.cluster.connection import Cluster
    from pipeline.cluster.document import Document
    from pipeline.cluster.runs import Run

_ENDED_IN_VAIN = ("CANCELED", "CANCELING", "FAILED", "SKIPPED")

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
    cluster: "Cluster", git: Git, plan: Plan, wish: Wish, means: Means, *, say: Say
) -> "Run":
    """Have the run of a plan on the cluster, and come back without waiting for it.

    Whoever was killed on the way, or does it at the same time, gets the same run.

    Raises:
        UsageError: no image is named, and no place to build one to.
        SegError: the checkout is another, the dataset is not on its remote, the image
            cannot be built, or the cluster says no.
    """
    from pipeline.cluster.identity import digest_of
    from pipeline.cluster.order import Order, check_pushed, find_version
    from pipeline.cluster.submission import submit
    from pipeline.inputs import code_version, find_settings

    _require_checkout(git, plan.commit)
    config = find_settings(wish.config and git.root / wish.config, wish.settings)
    # An image that is built twice has two digests: it is the commit that is the same.
    is_shared = not (means.image or wish.force)
    if is_shared and (known := _runs_like(cluster, plan, config)):
        say(f"run          {known[0].name} is there already: {known[0].state.lower()}")
        return known[0]
    data = find_version(data_md5=plan.data_md5, pin=git.root / PIN, remote=means.remote)
    check_pushed(data)
    say(f"data         all objects of {plan.data_md5} are on {data.remote}")
    image = _find_image(git, plan, wish, means, say)
    with tempfile.TemporaryDirectory() as place:
        document = _compile(Path(place), image, means, say)
        digest = digest_of(image).removeprefix("sha256:")
        order = Order(
            document=document,
            data=data,
            config=config,
            code_version=digest[:16] or code_version(),
            commit=plan.commit,
        )
        done = submit(
            cluster, order, experiment=means.experiment, force=wish.force, say=say
        )
    run = _settle(cluster, plan, config, done.run) if is_shared else done.run
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


def _runs_like(cluster: "Cluster", plan: Plan, config: Config) -> list["Run"]:
    """Runs of the same commit, data and configuration, the oldest first.

    Those that succeeded or go on; none that was forced.
    """
    from pipeline.cluster.identity import config_hash
    from pipeline.cluster.runs import list_runs

    wanted = {
        "commit": plan.commit,
        "data": plan.data_md5,
        "config": config_hash(config),
    }
    found = [
        run
        for run in list_runs(cluster, part=f"{plan.commit[:7]}-{plan.data_md5[:7]}-")
        if wanted.items() <= described(run).items()
        and run.state not in _ENDED_IN_VAIN
        and "-" not in run.tag
    ]
    return sorted(found, key=lambda run: run.age)


def _find_image(git: Git, plan: Plan, wish: Wish, means: Means, say: Say) -> str:
    from pipeline.retraining.image import provide_image

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


def _compile(place: Path, image: str, means: Means, say: Say) -> "Document":
    """Compile the pipeline for the image."""
    from pipeline.cluster.document import read_document
    from pipeline.cluster_config import ClusterConfig
    from pipeline.compiling import compile_pipeline

    path = place / "pipeline.yaml"
    needs = ClusterConfig.load(means.cluster_file)
    compile_pipeline(path, image=image, cluster=needs, checkpoints=means.checkpoints)
    document = read_document(path)
    say(f"document     {document.version}")
    return document


def _settle(cluster: "Cluster", plan: Plan, config: Config, run: "Run") -> "Run":
    """Of runs started at once, with images built at once, the oldest goes on."""
    from pipeline.cluster.runs import terminate

    same = _runs_like(cluster, plan, config)
    if not same:
        return run
    first, *others = same
    for other in others:
        terminate(cluster, other.run_id)
    return first
