"""`seglib train`."""

import math
import os
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seglib.cli.console import (
    ConfigFile,
    Data,
    IgnoreIndex,
    NumClasses,
    check_writable,
    console,
    errors,
    open_dataset,
    override,
    progress_bar,
    set_up_logging,
)
from seglib.config import Config, ModelConfig, TrainConfig
from seglib.environment import CHECKPOINTS, LOADER_THREADS, TF_CONFIG

if TYPE_CHECKING:
    from seglib.distributed import ProcessGroup


def train(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the model.")] = Path("model"),
    model: Annotated[
        str | None, typer.Option(help="Architecture; `seglib models` lists them.")
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Default: the model's own.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="`imagenet`, `ade20k`, a file, a model's folder, s3://bucket/path or "
            "models:/name@alias."
        ),
    ] = None,
    freeze_epochs: Annotated[
        int | None, typer.Option(min=0, help="First epochs without the encoder.")
    ] = None,
    start_from: Annotated[
        Path | None, typer.Option(help="Model whose weights to take where they fit.")
    ] = None,
    teacher: Annotated[
        Path | None, typer.Option(help="Model of the same classes to learn from.")
    ] = None,
    image_height: Annotated[
        int | None, typer.Option(help="Pixels the network sees. Default: the images'.")
    ] = None,
    image_width: Annotated[int | None, typer.Option(help="The same, across.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    max_minutes: Annotated[
        float | None, typer.Option(min=0, help="End by then, the rate fallen in time.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1)] = None,
    learning_rate: Annotated[float | None, typer.Option()] = None,
    loss: Annotated[
        str | None,
        typer.Option(help="Or a sum of losses: `cross_entropy + 0.5 * dice`."),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(help="Augments the views: `seglib policies`, or a YAML file."),
    ] = None,
    shards: Annotated[
        Path | None, typer.Option(help="Folder of `seglib augment`, to learn from.")
    ] = None,
    checkpoints: Annotated[
        str | None,
        typer.Option(
            envvar=CHECKPOINTS,
            help="Folder or s3://bucket/prefix for its state. Default: OUT.checkpoints",
            show_default=False,
        ),
    ] = None,
    processes: Annotated[
        int,
        typer.Option(
            min=0,
            help="Processes that share each batch, one a GPU. 0: one for each GPU "
            "that the machine shows; without a GPU, one.",
        ),
    ] = 0,
    loader_threads: Annotated[
        int,
        typer.Option(
            min=0,
            envvar=LOADER_THREADS,
            help="Threads that load images; the model is the same. 0: one a core.",
        ),
    ] = 0,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Folder for TensorBoard's event files.")
    ] = None,
    resume: Annotated[
        bool, typer.Option(help="Go on where the same training was interrupted.")
    ] = True,
    num_classes: NumClasses = None,
    ignore_index: IgnoreIndex = None,
    config: ConfigFile = None,
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
    if config is None:
        console.print(
            "no --config: the defaults hold. `seglib plan` writes a configuration for "
            "these data, this machine and your minutes."
        )
    work = partial(
        _train,
        data=data,
        out=out,
        model=override(
            settings.model,
            architecture=model,
            encoder=encoder,
            weights=weights,
            image_height=image_height,
            image_width=image_width,
        ),
        train=override(
            settings.train,
            epochs=epochs,
            max_minutes=max_minutes,
            freeze_epochs=freeze_epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            loss=loss,
            train_policy=policy,
        ),
        start_from=start_from,
        teacher=teacher,
        shards=shards,
        checkpoints=checkpoints,
        loader_threads=loader_threads,
        tensorboard=tensorboard,
        resume=resume,
        num_classes=num_classes,
        ignore_index=ignore_index,
        config=config,
    )
    check_writable(out)
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
    shards: Path | None,
    checkpoints: str | None,
    loader_threads: int,
    tensorboard: Path | None,
    resume: bool,
    num_classes: int | None,
    ignore_index: int | None,
    config: Path | None,
) -> None:
    import keras

    from seglib.distributed.process_group import Terminated
    from seglib.models import build_from_config, transfer_weights
    from seglib.models.model import load_model
    from seglib.registry.weights import fetch_weights
    from seglib.steps.train import train as run
    from seglib.training.checkpoints import Checkpoints
    from seglib.training.distillation import Distillation

    first_weights = fetch_weights(model.weights)
    distillation = Distillation(teacher=load_model(teacher)) if teacher else None
    dataset = open_dataset(
        data,
        config,
        num_classes,
        ignore_index,
        splits=("val",) if shards else ("train", "val"),
    )
    beside = out.with_name(f"{out.name}.checkpoints")
    kept = Checkpoints(checkpoints or beside, resume=resume)
    # The same first weights whenever the command is given: it may be a second time.
    keras.utils.set_random_seed(train.train_seed)
    network = build_from_config(model, dataset, weights=first_weights)
    if start_from:
        transfer_weights(load_model(start_from), network)
    try:
        with progress_bar("training") if group.is_first else nullcontext() as told:
            history = run(
                network,
                dataset,
                config=train,
                shards=shards,
                distillation=distillation,
                out=out,
                checkpoints=kept,
                processes=group,
                loader_threads=loader_threads,
                tensorboard=tensorboard,
                progress=told,
            )
    except (KeyboardInterrupt, Terminated):
        unfinished = out.with_name(f"{out.name}.unfinished")
        if unfinished.exists():
            errors.print(f"The best epoch so far is kept in {unfinished}.")
        if kept.written_step:
            errors.print(f"The same command goes on after step {kept.written_step}.")
        raise
    if not group.is_first:
        return
    measured = [row["val_miou"] for row in history if not math.isnan(row["val_miou"])]
    best = f"   best val mIoU {max(measured):.4f}" if measured else ""
    console.print(f"model: {out}{best}")
    if beside.exists():
        console.print(f"{beside} holds other trainings, which were interrupted.")
