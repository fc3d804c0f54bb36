"""The command line: `seglib COMMAND --help` explains each step."""

import dataclasses
import logging
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from seglib.config import Config
from seglib.errors import SegError, UsageError

app = typer.Typer(
    name="seglib",
    help="Semantic segmentation: verify, augment, train, evaluate, predict, export.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
console = Console()
errors = Console(stderr=True)

Data = Annotated[
    Path, typer.Argument(help="Folder in the format of docs/data-format.md.")
]
Model = Annotated[Path, typer.Argument(help="Folder that `seglib train` wrote.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML file; see configs/.")
]
NumClasses = Annotated[
    int | None,
    typer.Option(
        help="Classes, background counted. Default: dataset.yaml, else the masks."
    ),
]
IgnoreIndex = Annotated[
    int | None, typer.Option(help="Id that is not counted. Default: dataset.yaml.")
]


def main() -> None:
    """Run the command line; a problem is one message and a non-zero exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    handler = RichHandler(console=console, show_path=False, show_level=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    logging.getLogger("seglib").setLevel(logging.INFO)
    try:
        app()
    except SegError as error:
        errors.print(f"[bold red]error:[/] {_escape(str(error))}", highlight=False)
        sys.exit(error.exit_code)
    except SystemExit as error:
        # Typer turns Ctrl-C into an Abort, and that into the exit code 1.
        if isinstance(error.__context__, typer.Abort):
            sys.exit(130)
        raise


@app.command()
def verify(
    data: Data,
    num_classes: NumClasses = None,
    ignore_index: IgnoreIndex = None,
    config: ConfigFile = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for manifest.json and report.html.")
    ] = None,
) -> None:
    """Open every file of a dataset and report what is wrong with it.

    Exit code 0: clean. 1: problems. 2: wrong use.
    """
    from seglib.data.verify import verify as run
    from seglib.data.verify import write_verification

    _check_folder(data)
    settings = _data_config(config, num_classes, ignore_index)
    with _bar("verifying") as progress:
        verification = run(data, config=settings, progress=progress)
    if out:
        write_verification(verification, out)
        console.print(f"report: {out / 'report.html'}")
    for warning in verification.warnings:
        console.print(f"[yellow]warning:[/] {_escape(str(warning))}", highlight=False)
    verification.raise_if_bad()
    dataset = verification.dataset
    counts = ", ".join(f"{len(p)} {split}" for split, p in dataset.splits.items())
    console.print(f"[green]clean:[/] {counts} pairs, {dataset.num_classes} classes")


@app.command()
def visualize(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path(
        "pictures"
    ),
    split: Annotated[str, typer.Option(help="train, val or test.")] = "train",
    count: Annotated[int, typer.Option(min=1, help="Pairs to show.")] = 12,
    num_classes: NumClasses = None,
    ignore_index: IgnoreIndex = None,
    config: ConfigFile = None,
) -> None:
    """Show images with their masks laid over them, and the legend."""
    from seglib.data.visualize import visualize as run

    dataset = _dataset(data, config, num_classes, ignore_index)
    console.print(f"pictures: {run(dataset, out, split=split, count=count)}")


@app.command()
def augment(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the shards.")] = Path("shards"),
    policy: Annotated[
        str | None, typer.Option(help="none, geometric, photometric or street.")
    ] = None,
    copies: Annotated[
        int | None, typer.Option(min=0, help="Altered copies of each pair.")
    ] = None,
    num_classes: NumClasses = None,
    ignore_index: IgnoreIndex = None,
    config: ConfigFile = None,
) -> None:
    """Write the training split and altered copies of it as shards, with a preview."""
    from seglib.steps.augment import augment as run

    settings = _override(Config.load(config).augment, policy=policy, copies=copies)
    dataset = _dataset(data, config, num_classes, ignore_index)
    channels = Config.load(config).model.channels
    with _bar("augmenting") as progress:
        index = run(dataset, out, config=settings, channels=channels, progress=progress)
    console.print(f"{index['num_records']} pairs in {out}; preview: {out}/preview.html")


@app.command()
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
    batch_size: Annotated[int | None, typer.Option(min=1)] = None,
    learning_rate: Annotated[float | None, typer.Option()] = None,
    shards: Annotated[
        Path | None, typer.Option(help="Folder of `seglib augment`, to learn from.")
    ] = None,
    num_classes: NumClasses = None,
    ignore_index: IgnoreIndex = None,
    config: ConfigFile = None,
) -> None:
    """Train a model; the epoch with the best val mIoU is kept.

    Ctrl-C keeps the best epoch so far beside OUT, as OUT.unfinished.
    """
    from seglib.artifact import load_model
    from seglib.distillation import Distillation
    from seglib.models import build_from_config, transfer_weights
    from seglib.steps.train import train as run

    settings = Config.load(config)
    _check_writable(out)
    distillation = Distillation(teacher=load_model(teacher)) if teacher else None
    dataset = _dataset(data, config, num_classes, ignore_index)
    network = build_from_config(
        _override(
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
    options = _override(
        settings.train,
        epochs=epochs,
        freeze_epochs=freeze_epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
    )
    try:
        with _bar("training") as progress:
            history = run(
                network,
                dataset,
                config=options,
                shards=shards,
                distillation=distillation,
                out=out,
                on_step=progress,
            )
    except KeyboardInterrupt:
        unfinished = out.with_name(f"{out.name}.unfinished")
        if unfinished.exists():
            errors.print(f"The best epoch so far is kept in {unfinished}.")
        raise
    measured = [row["val_miou"] for row in history if not math.isnan(row["val_miou"])]
    best = f"   best val mIoU {max(measured):.4f}" if measured else ""
    console.print(f"model: {out}{best}")


@app.command()
def evaluate(
    model: Model,
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for report and tables.")] = Path(
        "evaluation"
    ),
    split: Annotated[str | None, typer.Option(help="auto, train, val or test.")] = None,
    num_classes: NumClasses = None,
    ignore_index: IgnoreIndex = None,
    config: ConfigFile = None,
) -> None:
    """Score a model at the images' original size and write a report."""
    from seglib.steps.evaluate import evaluate as run

    settings = _override(Config.load(config).evaluate, split=split)
    _check_writable(out)
    dataset = _dataset(data, config, num_classes, ignore_index, model=model)
    with _bar("evaluating") as progress:
        evaluation = run(model, dataset, config=settings, out=out, progress=progress)
    table = Table("class", "IoU")
    for name, iou in evaluation.class_iou.items():
        table.add_row(name, "–" if math.isnan(iou) else f"{iou:.4f}")
    console.print(table)
    console.print(
        f"mIoU {evaluation.miou:.4f} on {evaluation.split} (majority class: "
        f"{evaluation.scores.baseline_miou:.4f})   report: {out / 'report.html'}"
    )


@app.command()
def predict(
    model: Model,
    inputs: Annotated[list[Path], typer.Argument(help="Image files, or a folder.")],
    out: Annotated[Path, typer.Option(help="Folder for the masks.")] = Path(
        "predictions"
    ),
) -> None:
    """Predict images: class ids, coloured masks, overlays and a legend."""
    from seglib.steps.predict import predict as run

    _check_writable(out)
    with _bar("predicting") as progress:
        predictions = run(model, inputs, out, progress=progress)
    console.print(
        f"{len(predictions.written)} images: {out}/ids, {out}/color, {out}/overlay"
    )
    if predictions.problems:
        raise SegError("\n".join(predictions.problems))


@app.command()
def export(
    model: Model,
    out: Annotated[Path, typer.Option(help="Folder for the SavedModel.")] = Path(
        "export"
    ),
    config: ConfigFile = None,
) -> None:
    """Export to a SavedModel that is proven to answer like the model."""
    from seglib.steps.export import export as run

    comparison = run(model, out, config=Config.load(config).export)
    console.print(
        f"{out / 'saved_model'}: logits within "
        f"{comparison['max_logit_difference']:.1e}, "
        f"{comparison['equal_pixels']:.2%} equal pixels"
    )


@app.command()
def models() -> None:
    """List the architectures, the encoders, and what goes with what."""
    from seglib.models.encoders import ENCODERS
    from seglib.models.zoo import ARCHITECTURES, NAMES, fitting_encoders

    table = Table("architecture", "own encoder", "others", "what it is")
    for name, architecture in ARCHITECTURES.items():
        others = f"{len(fitting_encoders(name)) - 1} of {len(ENCODERS) - 1}"
        table.add_row(name, architecture.encoder, others, architecture.summary)
    console.print(table)
    table = Table("encoder", "strides", "ImageNet weights")
    for name, encoder in ENCODERS.items():
        strides = f"{2 ** encoder.levels[0]} … {encoder.stride}"
        weights = "from a package" if encoder.load else "–"
        if encoder.needs_download:
            weights = "downloaded by Keras, or a file"
        table.add_row(name, strides, weights)
    console.print(table)
    table = Table("keras_segmentation's name", "architecture", "encoder")
    for name, parts in NAMES.items():
        table.add_row(name, *parts)
    console.print(table)


def _dataset(
    data: Path,
    config: Path | None,
    num_classes: int | None,
    ignore_index: int | None,
    *,
    model: Path | None = None,
) -> Any:
    from seglib.data.format import dataset_from_config, load_dataset

    _check_folder(data)
    settings = _data_config(config, num_classes, ignore_index)
    if model and not (data / "dataset.yaml").exists() and not settings.num_classes:
        from seglib.artifact import read_contract

        contract = read_contract(model)
        return load_dataset(
            data,
            num_classes=contract.num_classes,
            ignore_index=contract.ignore_index,
            class_names=contract.class_names,
        )
    return dataset_from_config(data, settings)


def _data_config(
    config: Path | None, num_classes: int | None, ignore_index: int | None
) -> Any:
    return _override(
        Config.load(config).data, num_classes=num_classes, ignore_index=ignore_index
    )


def _override(section: Any, **given: Any) -> Any:
    """The section with the options that were given on the command line."""
    chosen = {name: value for name, value in given.items() if value is not None}
    return dataclasses.replace(section, **chosen)


def _check_folder(data: Path) -> None:
    if not data.is_dir():
        raise UsageError(
            f"{data}: no such folder. Expected one that holds train_images/ and "
            "train_segmentation/ (see docs/data-format.md)."
        )


def _check_writable(out: Path) -> None:
    """Fail before the work rather than after it."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SegError(f"{out}: cannot be written ({error.strerror}).") from error
    if not os.access(out if out.exists() else out.parent, os.W_OK):
        raise SegError(f"{out}: cannot be written. Choose another folder with --out.")


@contextmanager
def _bar(text: str) -> Iterator[Callable[[int, int], None]]:
    columns = (
        TextColumn(text),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(text, total=None)

        def update(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield update


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


if __name__ == "__main__":
    main()
