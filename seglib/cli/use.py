"""`seglib evaluate`, `predict` and `export`: what a trained model is used for."""

import math
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from seglib.cli import options as opt
from seglib.cli.compare import tell_difference
from seglib.cli.console import (
    check_folder,
    check_model,
    check_out,
    folders_by_name,
    load_framework,
    open_dataset,
    override,
    tell_device,
)
from seglib.cli.progress import progress_bar
from seglib.cli.terminal import console
from seglib.config import Config
from seglib.environment import GIT_COMMIT
from seglib.errors import SegError


def evaluate(
    model: opt.Model,
    data: opt.Data,
    out: Annotated[Path, opt.option("Folder for report and tables.")] = Path(
        "evaluation"
    ),
    overwrite: opt.Overwrite = False,
    split: Annotated[str | None, opt.setting("split")] = None,
    against: Annotated[
        Path | None,
        opt.option("Model to compare with, image by image, on the same split."),
    ] = None,
    num_classes: opt.NumClasses = None,
    ignore_index: opt.IgnoreIndex = None,
    config: opt.ConfigFile = None,
) -> None:
    """Score a model at the images' original size and write a report."""
    settings = override(Config.load(config).evaluate, split=split)
    models = [model, against] if against else [model]
    for each in models:
        check_model(each)
    check_folder(data)
    check_out(out, "metrics.json", overwrite=overwrite)
    tell_device()
    load_framework()
    from seglib.code_version import git_commit
    from seglib.evaluation.scoring import check_classes
    from seglib.models.contract import read_contract
    from seglib.steps.evaluate import evaluate as run

    dataset = open_dataset(
        data,
        config,
        num_classes,
        ignore_index,
        splits=(settings.split,),
        model=model,
    )
    for each in models:
        check_classes(read_contract(each), dataset)
    facts = {"Commit": git_commit() or os.environ.get(GIT_COMMIT, "")}
    with progress_bar("evaluating") as progress:
        evaluation = run(
            model, dataset, config=settings, out=out, progress=progress, facts=facts
        )
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
        tell_difference(evaluation, other, against)


def predict(
    model: Annotated[
        Path, typer.Argument(help="Folder that `seglib train` or `export` wrote.")
    ],
    inputs: Annotated[
        list[str], typer.Argument(help="Images, folders, globs or videos.")
    ],
    out: Annotated[Path, opt.option("Folder for the masks.")] = Path("predictions"),
    overwrite: opt.Overwrite = False,
    save: Annotated[
        str, opt.option("Of ids, color, overlay, probability, uncertainty.")
    ] = "ids",
    opacity: Annotated[float, opt.option("Of overlays' colours, 0 … 1.")] = 0.5,
    tile: Annotated[
        bool | None,
        opt.option(
            "Cut images into tiles, or shrink them. Default: tiles where an image is "
            "more than twice as large as the training's.",
            show_default=False,
        ),
    ] = None,
    overlap: Annotated[
        float, opt.option("Of neighbouring tiles, as a share of a tile.")
    ] = 0.25,
    tta: Annotated[
        str, opt.option("Mean over flips and scales too, such as flip,0.75,1.25.")
    ] = "",
    ensemble: Annotated[
        list[Path] | None,
        opt.option("Further model; the mean probability decides; repeatable."),
    ] = None,
    export_format: Annotated[
        str, opt.option("Of an export, such as onnx or litert_int8.", "--format")
    ] = "",
    others: Annotated[
        list[str] | None,
        opt.option(
            "Images of a further input of the model, such as depth; repeatable.",
            "--input",
            metavar="NAME=FOLDER",
        ),
    ] = None,
) -> None:
    """Predict images and videos: masks of class ids, and pictures of them.

    What an earlier run with the same model and settings has done is skipped.

    For example: seglib predict model "shots/*.jpg" --save ids,overlay
    """
    models = [model, *(ensemble or [])]
    for each in models:
        check_model(each)
    further = folders_by_name(others or [])
    check_out(out, "predictions.jsonl", overwrite=True)  # a record knows what is done
    tell_device()
    load_framework()
    from seglib.steps.predict import predict as run

    with progress_bar("predicting") as progress:
        predictions = run(
            models,
            inputs,
            out,
            others=further,
            save=save,
            opacity=opacity,
            tile=tile,
            overlap=overlap,
            tta=tta,
            export_format=export_format,
            overwrite=overwrite,
            keep_others=not overwrite,
            progress=progress,
        )
    done = len(predictions.skipped)
    before = f", {done} done before (--overwrite repeats them)" if done else ""
    folders = ", ".join(f"{out}/{kind.strip()}" for kind in save.split(","))
    console.print(f"{len(predictions.written)} images{before}: {folders}")
    if predictions.problems:
        raise SegError("\n".join(predictions.problems))


def export(
    model: opt.Model,
    out: Annotated[Path, opt.option("Folder for the files.")] = Path("export"),
    overwrite: opt.Overwrite = False,
    formats: Annotated[
        list[str] | None,
        opt.option(
            "saved_model, onnx, litert, litert_fp16 or litert_int8; repeatable.",
            "--format",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        opt.option("Dataset to compare on, and to calibrate litert_int8 by."),
    ] = None,
    num_classes: opt.NumClasses = None,
    ignore_index: opt.IgnoreIndex = None,
    config: opt.ConfigFile = None,
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
    check_model(model)
    check_out(out, "SHA256SUMS", overwrite=overwrite)
    tell_device()
    load_framework()
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
