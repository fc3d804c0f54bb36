"""`seglib train`."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from seglib.catalogue import resolve
from seglib.cli import options as opt
from seglib.cli.console import (
    check_folder,
    check_model,
    check_out,
    load_framework,
    open_dataset,
    override,
    set_up_logging,
    tell_device,
)
from seglib.cli.progress import stage_bar
from seglib.cli.terminal import console, errors
from seglib.config import Config, ModelConfig, TrainConfig
from seglib.environment import CHECKPOINTS, LOADER_THREADS, TF_CONFIG
from seglib.errors import UsageError

if TYPE_CHECKING:
    from seglib.data.dataset import Dataset
    from seglib.distributed import ProcessGroup

_NETWORK, _TRAINING, _MACHINE = "The network", "The training", "This machine"


def train(
    data: opt.Data,
    out: Annotated[Path, opt.option("Folder for the model.", group=opt.OUTPUT)] = Path(
        "model"
    ),
    model: Annotated[
        str | None, opt.setting("architecture", "--model", group=_NETWORK)
    ] = None,
    encoder: Annotated[str | None, opt.setting("encoder", group=_NETWORK)] = None,
    weights: Annotated[str | None, opt.setting("weights", group=_NETWORK)] = None,
    start_from: Annotated[
        Path | None,
        opt.option("Model whose weights to take where they fit.", group=_NETWORK),
    ] = None,
    image_height: Annotated[
        int | None, opt.setting("image_height", group=_NETWORK)
    ] = None,
    image_width: Annotated[
        int | None, opt.setting("image_width", group=_NETWORK)
    ] = None,
    epochs: Annotated[int | None, opt.setting("epochs", group=_TRAINING)] = None,
    max_minutes: Annotated[
        float | None, opt.setting("max_minutes", group=_TRAINING)
    ] = None,
    batch_size: Annotated[
        int | None, opt.setting("batch_size", group=_TRAINING)
    ] = None,
    learning_rate: Annotated[
        float | None, opt.setting("learning_rate", group=_TRAINING)
    ] = None,
    loss: Annotated[str | None, opt.setting("loss", group=_TRAINING)] = None,
    freeze_epochs: Annotated[
        int | None, opt.setting("freeze_epochs", group=_TRAINING)
    ] = None,
    teacher: Annotated[
        Path | None,
        opt.option("Model of the same classes to learn from.", group=_TRAINING),
    ] = None,
    policy: Annotated[
        str | None, opt.setting("train_policy", "--policy", group=_TRAINING)
    ] = None,
    shards: Annotated[
        str | None,
        opt.option(
            "Folder or s3://bucket/prefix of `seglib augment` or `seglib pack`, to "
            "learn from.",
            group=opt.DATA,
        ),
    ] = None,
    num_classes: opt.NumClasses = None,
    ignore_index: opt.IgnoreIndex = None,
    overwrite: opt.Overwrite = False,
    checkpoints: Annotated[
        str | None,
        opt.option(
            "Folder or s3://bucket/prefix for its state. Default: OUT.checkpoints.",
            envvar=CHECKPOINTS,
            show_default=False,
            group=opt.OUTPUT,
        ),
    ] = None,
    resume: Annotated[
        bool,
        opt.option("Go on where the same training was interrupted.", group=opt.OUTPUT),
    ] = True,
    tensorboard: Annotated[
        Path | None,
        opt.option("Folder for TensorBoard's event files.", group=opt.OUTPUT),
    ] = None,
    processes: Annotated[
        int,
        opt.option(
            "Processes that share each batch, one a GPU. 0: one for each GPU that the "
            "machine shows; without a GPU, one.",
            min=0,
            group=_MACHINE,
        ),
    ] = 0,
    loader_threads: Annotated[
        int,
        opt.option(
            "Threads that load images; the model is the same. 0: one a core.",
            min=0,
            envvar=LOADER_THREADS,
            group=_MACHINE,
        ),
    ] = 0,
    config: opt.ConfigFile = None,
) -> None:
    """Train a model; the epoch with the best val mIoU is kept.

    Interrupted by Ctrl-C, SIGTERM or the end of its machine, the same command goes on
    where it was, to the same weights. The best epoch so far lies beside OUT, as
    OUT.unfinished.

    On a machine with several GPUs it starts a process for each of them. Processes on
    several machines train together when each is started with the same arguments and a
    TF_CONFIG of its own; the first one writes OUT.
    """
    from seglib import distributed
    from seglib.hardware import gpu_count

    settings = Config.load(config)
    network = override(
        settings.model,
        architecture=model,
        encoder=encoder,
        weights=weights,
        image_height=image_height,
        image_width=image_width,
    )
    training = override(
        settings.train,
        epochs=epochs,
        max_minutes=max_minutes,
        freeze_epochs=freeze_epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        loss=loss,
        train_policy=policy,
    )
    resolve(network.architecture, network.encoder or None)
    check_folder(data)
    for folder in filter(None, (start_from, teacher)):
        check_model(folder)
    check_out(out, "contract.json", overwrite=True)  # a different one: `_train`
    if shards:
        from seglib.data.shards.index import read_shard_index

        read_shard_index(shards)
    tell_device(training.precision)
    if config is None:
        console.print(
            "no --config: the defaults hold. `seglib plan` writes a configuration for "
            "these data, this machine and your minutes."
        )
    work = partial(
        _train,
        data=data,
        out=out,
        model=network,
        train=training,
        start_from=start_from,
        teacher=teacher,
        shards=shards,
        overwrite=overwrite,
        checkpoints=checkpoints,
        loader_threads=loader_threads,
        tensorboard=tensorboard,
        resume=resume,
        num_classes=num_classes,
        ignore_index=ignore_index,
        config=config,
    )
    if os.environ.get(TF_CONFIG):
        work(distributed.join())
    elif (count := processes or gpu_count()) > 1:
        distributed.launch(_train_in_group, work, processes=count)
    else:
        work(distributed.ProcessGroup())


def _train_in_group(
    group: "ProcessGroup", work: Callable[["ProcessGroup"], None]
) -> None:
    """In a process that was started for it, which has no log yet."""
    set_up_logging()
    work(group)


def _train(
    group: "ProcessGroup",
    *,
    data: Path,
    out: Path,
    model: ModelConfig,
    train: TrainConfig,
    start_from: Path | None,
    teacher: Path | None,
    shards: str | None,
    overwrite: bool,
    checkpoints: str | None,
    loader_threads: int,
    tensorboard: Path | None,
    resume: bool,
    num_classes: int | None,
    ignore_index: int | None,
    config: Path | None,
) -> None:
    dataset = open_dataset(
        data,
        config,
        num_classes,
        ignore_index,
        splits=("val",) if shards else ("train", "val"),
    )
    _check_batch(dataset, shards, train)
    load_framework()
    import keras

    from seglib.models import build_from_config, transfer_weights
    from seglib.models.model import load_model
    from seglib.registry.weights import fetch_weights
    from seglib.steps.train import train as run
    from seglib.training.checkpoints import Checkpoints
    from seglib.training.distillation import Distillation

    first_weights = fetch_weights(model.weights)
    distillation = Distillation(teacher=load_model(teacher)) if teacher else None
    beside = out.with_name(f"{out.name}.checkpoints")
    kept = Checkpoints(checkpoints or beside, resume=resume)
    # The same first weights whenever the command is given: it may be a second time.
    keras.utils.set_random_seed(train.train_seed)
    with _told_how_to_go_on(out, kept), _progress(group) as (stage, step):
        stage("building the network …")
        network = build_from_config(model, dataset, weights=first_weights)
        if start_from:
            transfer_weights(load_model(start_from), network)
        history = run(
            network,
            dataset,
            config=train,
            shards=shards,
            distillation=distillation,
            out=out,
            overwrite=overwrite,
            checkpoints=kept,
            processes=group,
            loader_threads=loader_threads,
            tensorboard=tensorboard,
            progress=step,
            on_stage=stage,
        )
    if not group.is_first:
        return
    measured = [row["val_miou"] for row in history if not math.isnan(row["val_miou"])]
    best = f"   best val mIoU {max(measured):.4f}" if measured else ""
    console.print(f"model: {out}{best}")
    if beside.exists():
        console.print(f"{beside} holds other trainings, which were interrupted.")


def _check_batch(dataset: "Dataset", shards: str | None, train: TrainConfig) -> None:
    """See that the train split is there, and gives at least one batch."""
    if shards:
        return
    images = len(dataset.pairs("train"))
    if train.batch_size > images and not train.steps_per_epoch:
        raise UsageError(
            f"`batch_size` is larger than the train split, of {images} images. "
            f"Received: batch_size={train.batch_size}. Use --batch-size {images}."
        )


@contextmanager
def _progress(group: "ProcessGroup") -> Iterator[tuple[Callable[[str], None], Any]]:
    """What is called with the name of each stage, and after each step."""
    if not group.is_first:
        yield lambda _: None, None
        return
    with stage_bar("building the network …") as update:

        def step(done: int, total: int) -> None:
            update("training", done, total)

        yield lambda name: update(name, 0, None), step


@contextmanager
def _told_how_to_go_on(out: Path, kept: Any) -> Iterator[None]:
    """Within it, an interruption says what is kept."""
    from seglib.distributed.process_group import Terminated

    try:
        yield
    except (KeyboardInterrupt, Terminated):
        unfinished = out.with_name(f"{out.name}.unfinished")
        if unfinished.exists():
            errors.print(f"The best epoch so far is kept in {unfinished}.")
        if kept.written_step:
            errors.print(f"The same command goes on after step {kept.written_step}.")
        else:
            errors.print("No step was kept: the same command begins anew.")
        raise
