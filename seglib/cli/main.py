"""The command line: `seglib COMMAND --help` explains each step."""

import json
import math
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from seglib.cli import checks
from seglib.cli import compare as cli_compare
from seglib.cli import convert as cli_convert
from seglib.cli import data as cli_data
from seglib.cli import plan as cli_plan
from seglib.cli import publish as cli_published
from seglib.cli import train as cli_train
from seglib.cli.console import (
    ConfigFile,
    Data,
    IgnoreIndex,
    Model,
    NumClasses,
    check_writable,
    console,
    folders_by_name,
    open_dataset,
    override,
    progress_bar,
    set_up_logging,
)
from seglib.cli.terminal import echo, run_commands
from seglib.config import Config
from seglib.errors import SegError


def _new_app() -> typer.Typer:
    app = typer.Typer(
        name="seglib",
        help="Semantic segmentation: verify, train, evaluate, predict, export.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    for command in (
        checks.verify,
        checks.fix,
        cli_convert.convert,
        checks.visualize,
        cli_plan.plan,
        cli_train.train,
        cli_compare.compare,
    ):
        app.command()(command)
    remotes = "Remotes, on S3 or in a folder"
    app.add_typer(cli_data.app, name="data", rich_help_panel=remotes)
    app.command(rich_help_panel=remotes)(cli_published.publish)
    app.command(rich_help_panel=remotes)(cli_published.fetch)
    app.command(rich_help_panel=remotes)(cli_published.follow)
    return app


app = _new_app()


def main() -> None:
    """Run the command line; a problem is one message and a non-zero exit code."""
    set_up_logging()
    run_commands(app)


@app.command()
def augment(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the shards.")] = Path("shards"),
    policy: Annotated[
        str | None, typer.Option(help="See `seglib policies`; or a YAML file.")
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

    settings = override(Config.load(config).augment, policy=policy, copies=copies)
    dataset = open_dataset(data, config, num_classes, ignore_index, splits=("train",))
    channels = Config.load(config).model.channels
    with progress_bar("augmenting") as progress:
        index = run(dataset, out, config=settings, channels=channels, progress=progress)
    console.print(f"{index['num_records']} pairs in {out}; preview: {out}/preview.html")


@app.command()
def evaluate(
    model: Model,
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for report and tables.")] = Path(
        "evaluation"
    ),
    split: Annotated[str | None, typer.Option(help="auto, train, val or test.")] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="Model to compare with, image by image, on the same split."),
    ] = None,
    num_classes: NumClasses = None,
    ignore_index: IgnoreIndex = None,
    config: ConfigFile = None,
) -> None:
    """Score a model at the images' original size and write a report."""
    from seglib.evaluation.scoring import check_classes
    from seglib.models.contract import read_contract
    from seglib.steps.evaluate import evaluate as run

    settings = override(Config.load(config).evaluate, split=split)
    check_writable(out)
    dataset = open_dataset(
        data,
        config,
        num_classes,
        ignore_index,
        splits=(settings.split,),
        model=model,
    )
    for one in filter(None, (model, against)):
        check_classes(read_contract(one), dataset)
    with progress_bar("evaluating") as progress:
        evaluation = run(model, dataset, config=settings, out=out, progress=progress)
    table = Table("class", "IoU")
    for name, iou in evaluation.class_iou.items():
        table.add_row(name, "–" if math.isnan(iou) else f"{iou:.4f}")
    console.print(table)
    console.print(
        f"mIoU {evaluation.miou:.4f} on {evaluation.split} (majority class: "
        f"{evaluation.scores.baseline_miou:.4f})   report: {out / 'report.html'}"
    )
    if against:
        with progress_bar(f"evaluating {against}") as progress:
            other = run(against, dataset, config=settings, progress=progress)
        cli_compare.tell_difference(evaluation, other, against)


@app.command()
def predict(
    model: Annotated[
        Path, typer.Argument(help="Folder that `seglib train` or `export` wrote.")
    ],
    inputs: Annotated[
        list[str], typer.Argument(help="Images, folders, globs or videos.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the masks.")] = Path(
        "predictions"
    ),
    save: Annotated[
        str, typer.Option(help="Of ids, color, overlay, probability, uncertainty.")
    ] = "ids",
    opacity: Annotated[float, typer.Option(help="Of overlays' colours, 0 … 1.")] = 0.5,
    tile: Annotated[
        bool | None,
        typer.Option(
            "--tile/--no-tile",
            help="Cut images into tiles, or shrink them. Default: tiles where an image "
            "is more than twice as large as the training's.",
            show_default=False,
        ),
    ] = None,
    overlap: Annotated[
        float, typer.Option(help="Of neighbouring tiles, as a share of a tile.")
    ] = 0.25,
    tta: Annotated[
        str,
        typer.Option(help="Mean over flips and scales too, such as flip,0.75,1.25."),
    ] = "",
    ensemble: Annotated[
        list[Path] | None,
        typer.Option(help="Further model; the mean probability decides; repeatable."),
    ] = None,
    export_format: Annotated[
        str,
        typer.Option("--format", help="Of an export, such as onnx or litert_int8."),
    ] = "",
    others: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="NAME=FOLDER",
            help="Images of a further input of the model, such as depth; repeatable.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Predict also what is done.")
    ] = False,
) -> None:
    """Predict images and videos: masks of class ids, and pictures of them.

    What an earlier run with the same model and settings has done is skipped.

    For example: seglib predict model "shots/*.jpg" --save ids,overlay
    """
    from seglib.steps.predict import predict as run

    check_writable(out)
    with progress_bar("predicting") as progress:
        predictions = run(
            [model, *(ensemble or [])],
            inputs,
            out,
            others=folders_by_name(others or []),
            save=save,
            opacity=opacity,
            tile=tile,
            overlap=overlap,
            tta=tta,
            export_format=export_format,
            overwrite=overwrite,
            progress=progress,
        )
    done = len(predictions.skipped)
    before = f", {done} done before (--overwrite repeats them)" if done else ""
    folders = ", ".join(f"{out}/{kind.strip()}" for kind in save.split(","))
    console.print(f"{len(predictions.written)} images{before}: {folders}")
    if predictions.problems:
        raise SegError("\n".join(predictions.problems))


@app.command()
def export(
    model: Model,
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("export"),
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="saved_model, onnx, litert, litert_fp16 or litert_int8; repeatable.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Dataset to compare on, and to calibrate litert_int8 by."),
    ] = None,
    num_classes: NumClasses = None,
    ignore_index: IgnoreIndex = None,
    config: ConfigFile = None,
) -> None:
    """Export to files that are proven to answer like the model.

    Each format is run by its own runtime on the same images as the model. README.md
    beside the files tells differences, scores, sizes and times.

    For example: seglib export model --format onnx --format litert_int8 --data data
    """
    settings = override(
        Config.load(config).export,
        export_formats=",".join(formats) if formats else None,
    )
    check_writable(out)
    dataset = None
    if data:
        splits = ("train", "val")
        dataset = open_dataset(
            data, config, num_classes, ignore_index, splits=splits, model=model
        )
    from seglib.exports.card import recommended
    from seglib.steps.export import CARD
    from seglib.steps.export import export as run

    with console.status("exporting and comparing"):
        comparison = run(model, out, config=settings, data=dataset)
    table = Table("", "logits within", "equal pixels", "mIoU", "ms an image", "MB")
    for name, found in comparison["formats"].items():
        miou, size = found["miou"], found.get("bytes")
        table.add_row(
            name,
            f"{found['max_logit_difference']:.1e}",
            f"{found['equal_pixels']:.3%}",
            "" if miou is None else f"{miou:.4f}",
            f"{found['latency_ms']['p50']:.1f}",
            "" if size is None else f"{size / 1e6:.1f}",
        )
    console.print(table)
    best = recommended(comparison["formats"])
    told = f", the fastest that answers as well: {best}" if best else ""
    console.print(f"{out}, its card: {out / CARD}{told}", soft_wrap=True)


@app.command()
def schema() -> None:
    """Print the JSON schema of configuration files, for editors and validators."""
    echo(json.dumps(Config.json_schema(), indent=2, ensure_ascii=False))


@app.command("policies")
def print_policies(
    name: Annotated[
        str | None, typer.Argument(help="Print this one, or check this YAML file.")
    ] = None,
) -> None:
    """List the policies of augmentation, or what one of them does.

    A YAML file of your own is checked, down to the arguments of albumentations.
    """
    import yaml

    from seglib.policies import policies, policy_names, policy_text

    if name is None:
        for policy in policies():
            console.print(f"{policy:18}{', '.join(policy_names(policy))}")
        return
    text = policy_text(name)
    if text in policies():
        tree = policies()[text]
    else:
        from seglib.data.augmentation.augmenter import Augmenter

        Augmenter(text, None)  # raises what is wrong
        tree = json.loads(text)
    written = yaml.safe_dump(tree, default_flow_style=None, sort_keys=False)
    console.print(written, end="")


@app.command()
def models() -> None:
    """List the architectures, the encoders, and what goes with what."""
    from seglib.models.architectures import ARCHITECTURES, NAMES, fitting_encoders
    from seglib.models.encoders import ENCODERS

    table = Table("architecture", "own encoder", "others", "what it is")
    for name, architecture in ARCHITECTURES.items():
        others = f"{len(fitting_encoders(name)) - 1} of {len(ENCODERS) - 1}"
        table.add_row(name, architecture.encoder, others, architecture.summary)
    console.print(table)
    table = Table("encoder", "strides", "trained weights")
    for name, encoder in ENCODERS.items():
        strides = f"{2 ** encoder.levels[0]} … {encoder.stride}"
        weights = "from a package" if encoder.load else "–"
        if encoder.needs_download:
            weights = "downloaded by Keras, or a file"
        elif encoder.extra:
            weights = "a preset of keras-hub (pip install 'seglib[hub]')"
        elif name.startswith("mit_"):
            weights = "ade20k, cityscapes (keras-hub), or a file"
        table.add_row(name, strides, weights)
    console.print(table)
    table = Table("keras_segmentation's name", "architecture", "encoder")
    for name, parts in NAMES.items():
        table.add_row(name, *parts)
    console.print(table)
