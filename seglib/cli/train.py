"""`seglib train`."""

import math
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

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
)
from seglib.config import Config


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
        typer.Option(help="`imagenet`, or a file of the encoder's weights."),
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
    shards: Annotated[
        Path | None, typer.Option(help="Folder of `seglib augment`, to learn from.")
    ] = None,
    checkpoints: Annotated[
        str | None,
        typer.Option(
            envvar="SEGLIB_CHECKPOINTS",
            help="Folder or s3://bucket/prefix for its state. Default: OUT.checkpoints",
            show_default=False,
        ),
    ] = None,
    loader_threads: Annotated[
        int,
        typer.Option(
            min=0,
            envvar="SEGLIB_LOADER_THREADS",
            help="Threads that load images; the model is the same. 0: one a core.",
        ),
    ] = 0,
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

    Several processes, of one machine or many, train together when each is started with
    the same arguments and a TF_CONFIG of its own; the first one writes OUT.
    """
    import keras

    from seglib.distributed.process_group import Processes
    from seglib.models import build_from_config, transfer_weights
    from seglib.models.model import load_model
    from seglib.steps.train import train as run
    from seglib.training.checkpoints import Checkpoints
    from seglib.training.distillation import Distillation
    from seglib.training.preemption import Terminated

    settings = Config.load(config)
    processes = Processes.join()
    if processes.is_first:
        check_writable(out)
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
    keras.utils.set_random_seed(settings.train.train_seed)
    network = build_from_config(
        override(
            settings.model,
            architecture=model,
            encoder=encoder,
            weights=weights,
            image_height=image_height,
            image_width=image_width,
        ),
        dataset,
    )
    if start_from:
        transfer_weights(load_model(start_from), network)
    options = override(
        settings.train,
        epochs=epochs,
        max_minutes=max_minutes,
        freeze_epochs=freeze_epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
    )
    try:
        with progress_bar("training") if processes.is_first else nullcontext() as told:
            history = run(
                network,
                dataset,
                config=options,
                shards=shards,
                distillation=distillation,
                out=out,
                checkpoints=kept,
                processes=processes,
                loader_threads=loader_threads,
                on_step=told,
            )
    except (KeyboardInterrupt, Terminated):
        unfinished = out.with_name(f"{out.name}.unfinished")
        if unfinished.exists():
            errors.print(f"The best epoch so far is kept in {unfinished}.")
        if kept.written_step:
            errors.print(f"The same command goes on after step {kept.written_step}.")
        raise
    if not processes.is_first:
        return
    measured = [row["val_miou"] for row in history if not math.isnan(row["val_miou"])]
    best = f"   best val mIoU {max(measured):.4f}" if measured else ""
    console.print(f"model: {out}{best}")
    if beside.exists():
        console.print(f"{beside} holds other trainings, which were interrupted.")
