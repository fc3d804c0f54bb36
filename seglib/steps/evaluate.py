"""Evaluation at the images' original size: numbers, tables, pictures and a report."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seglib.config import EvaluateConfig
from seglib.data.dataset import Dataset
from seglib.data.image_io import encode_png
from seglib.data.pairs import spread
from seglib.data.verification.loading import opened
from seglib.drawing.pictures import comparison, overlay
from seglib.evaluation.bootstrap import COUNTS, ImageCounts, write_counts
from seglib.evaluation.metrics import Scores
from seglib.evaluation.scoring import ScoredImage, check_classes, score_pairs
from seglib.models.contract import Contract
from seglib.models.model import SegmentationModel, load_model
from seglib.report.evaluation_page import evaluation_page
from seglib.storage.atomic_write import write_bytes, write_text

NUM_WORST = 4  # images with the lowest mIoU that the report shows beside the fixed ones


@dataclass(frozen=True)
class Evaluation:
    """The scores of a model on a split of a dataset."""

    split: str
    scores: Scores
    per_image: tuple[tuple[str, Scores], ...]  # by stem, in the dataset's order
    class_names: tuple[str, ...]
    data_md5: str

    @property
    def miou(self) -> float:
        """Dataset-level mean IoU over the classes that occur."""
        return self.scores.miou

    @property
    def class_iou(self) -> dict[str, float]:
        """IoU by class name; NaN for a class that does not occur."""
        return dict(zip(self.class_names, self.scores.class_iou.tolist(), strict=True))

    @property
    def counts(self) -> ImageCounts:
        """Counts by image, for the comparison of two models."""
        return ImageCounts.of({stem: one.confusion for stem, one in self.per_image})

    def to_metrics(self) -> dict[str, Any]:
        """The content of metrics.json; a NaN is written as null."""
        return {
            "split": self.split,
            "num_images": len(self.per_image),
            "miou": _or_none(self.scores.miou),
            "baseline_miou": _or_none(self.scores.baseline_miou),
            "pixel_accuracy": _or_none(self.scores.pixel_accuracy),
            "miou_frequency_weighted": _or_none(self.scores.miou_frequency_weighted),
            "class_iou": {name: _or_none(iou) for name, iou in self.class_iou.items()},
            "class_names": list(self.class_names),
            "confusion_matrix": self.scores.confusion.tolist(),
            "data_md5": self.data_md5,
        }


def evaluate(
    model: SegmentationModel | str | Path,
    data: Dataset | str | Path,
    *,
    config: EvaluateConfig | None = None,
    out: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score a model on a split, each image at its original size.

    Args:
        model: a model, or the folder of one.
        data: a dataset, or its folder, of which the scored split is verified.
        out: folder for metrics.json, confusion_matrix.csv, per_image.csv, counts.npz,
            overlays/STEM.png (the same images in every run) and report.html.

    Raises:
        DatasetError: the dataset's classes are not the model's, or it has no such
            split.
    """
    config = config or EvaluateConfig()
    if not isinstance(model, SegmentationModel):
        model = load_model(model)
    data = opened(data, splits=(config.split,))
    check_classes(model.contract, data)
    data.check_inputs(model.contract.inputs)
    split = data.evaluation_split if config.split == "auto" else config.split
    pairs = data.pairs(split)
    chosen = {pair.stem for pair in spread(pairs, config.num_overlays)}
    fixed: list[ScoredImage] = []
    worst: list[ScoredImage] = []
    confusion = np.zeros((model.contract.num_classes,) * 2, np.int64)
    per_image = []
    for image in score_pairs(model, pairs, progress=progress):
        confusion += image.confusion
        per_image.append((image.stem, Scores(image.confusion)))
        fixed += [image] * (image.stem in chosen)
        worst = sorted([*worst, image], key=_miou_or_one)[:NUM_WORST]
    evaluation = Evaluation(
        split, Scores(confusion), tuple(per_image), data.class_names, data.data_md5
    )
    if out:
        _write(evaluation, fixed, worst, model.contract, Path(out))
    return evaluation


def _write(
    evaluation: Evaluation,
    fixed: list[ScoredImage],
    worst: list[ScoredImage],
    contract: Contract,
    out: Path,
) -> None:
    """Write all files; the page shows the fixed images and the worst."""
    metrics, palette = evaluation.to_metrics(), contract.palette
    shutil.rmtree(out / "overlays", ignore_errors=True)
    for image in fixed:
        picture = overlay(image.image, image.prediction, palette)
        write_bytes(out / "overlays" / f"{image.stem}.png", encode_png(picture))
    shown = {image.stem: image for image in (*fixed, *worst)}
    pictures = {
        stem: comparison(
            image.image,
            image.mask,
            image.prediction,
            palette,
            ignore_index=contract.ignore_index,
        )
        for stem, image in shown.items()
    }
    report = evaluation_page(
        metrics,
        evaluation.scores.confusion,
        list(pictures.items()),
        scores={stem: _miou_or_one(image) for stem, image in shown.items()},
        palette=palette,
        title=f"Evaluation of {contract.architecture} on {contract.encoder}",
    )
    write_text(out / "report.html", report)
    write_bytes(out / "confusion_matrix.csv", _confusion_csv(evaluation))
    write_bytes(out / "per_image.csv", _per_image_csv(evaluation))
    write_counts(evaluation.counts, out / COUNTS)
    content = json.dumps(metrics, indent=2, ensure_ascii=False) + "\n"
    write_bytes(out / "metrics.json", content.encode())


def _confusion_csv(evaluation: Evaluation) -> bytes:
    names = evaluation.class_names
    rows = zip(names, evaluation.scores.confusion.tolist(), strict=True)
    return _csv(["true \\ predicted", *names], [[name, *row] for name, row in rows])


def _per_image_csv(evaluation: Evaluation) -> bytes:
    rows = [
        [stem, scores.miou, scores.pixel_accuracy, *scores.class_iou.tolist()]
        for stem, scores in evaluation.per_image
    ]
    names = [f"iou/{name}" for name in evaluation.class_names]
    return _csv(["stem", "miou_per_image", "pixel_accuracy", *names], rows)


def _csv(header: list[str], rows: list[list[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode("utf-8", "backslashreplace")


def _miou_or_one(image: ScoredImage) -> float:
    miou = Scores(image.confusion).miou
    return 1.0 if np.isnan(miou) else miou


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
