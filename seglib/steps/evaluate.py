"""Evaluation at the images' original size: numbers, tables, pictures and a report."""

import csv
import io
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seglib.arguments import checked
from seglib.config import EvaluateConfig
from seglib.data.dataset import Dataset
from seglib.data.image_io import encode_jpeg, encode_png
from seglib.data.pairs import Pair, spread
from seglib.data.verification.loading import opened
from seglib.drawing.pictures import comparison, overlay
from seglib.evaluation.calibration import Calibration
from seglib.evaluation.counts import COUNTS, ImageCounts, mean, write_counts
from seglib.evaluation.evaluation import Evaluation
from seglib.evaluation.metrics import Scores
from seglib.evaluation.scoring import Details, ScoredImage, check_classes, score_pairs
from seglib.models.model import SegmentationModel, opened_model
from seglib.progress import Progress, Tell, shown
from seglib.report.evaluation_page import (
    IMAGES,
    IMAGES_SCRIPT,
    evaluation_page,
    images_script,
)
from seglib.storage.atomic_write import write_bytes, write_text

logger = logging.getLogger(__name__)

_EXAMPLES = 3  # worst images that an evaluation keeps
NUM_CHOSEN = 4  # worst, median and least sure images, beside the sample
_JPEG_QUALITY = 90


@checked
def evaluate(
    model: SegmentationModel | str | Path,
    data: Dataset | str | Path,
    *,
    config: EvaluateConfig | None = None,
    out: str | Path | None = None,
    progress: Progress = None,
) -> Evaluation:
    """Score a model on a split, each image at its original size.

    Args:
        model: a model, or the folder of one.
        data: a dataset, or its folder, of which the scored split is verified.
        out: folder for metrics.json, confusion_matrix.csv, per_image.csv, counts.npz,
            overlays/STEM.png (the same images in every run) and report.html, beside
            which lie the table of all images and the page's pictures at full size.
        progress: see `seglib.train`.

    Raises:
        DatasetError: the dataset's classes are not the model's, or it has no such
            split.
    """
    config = config or EvaluateConfig()
    model = opened_model(model)
    data = opened(data, splits=(config.split,))
    check_classes(model.contract, data)
    data.check_inputs(model.contract.inputs)
    split = data.evaluation_split if config.split == "auto" else config.split
    with shown(progress, f"evaluating {split}") as tell:
        evaluation = _score(model, data, split, tell)
        if out:
            _write(evaluation, model, data.pairs(split), config.num_overlays, Path(out))
    return evaluation


def _score(
    model: SegmentationModel,
    data: Dataset,
    split: str,
    progress: Tell,
) -> Evaluation:
    """Only counts are kept of an image, so that their number is no burden."""
    stems, rows, confidence, large = [], [], [], []
    worst: list[tuple[float, str, ScoredImage]] = []
    confusion: Any = 0
    sizes: Any = 0
    calibration: Any = 0
    scored = score_pairs(model, data.pairs(split), detailed=True, progress=progress)
    for image in scored:
        found: Details = image.details  # type: ignore[assignment] # it is asked for
        one = Scores(image.confusion)
        boundary = found.boundary_correct, found.boundary_union
        stems.append(image.stem)
        rows.append(np.stack([one.correct, one.union, one.true, *boundary]))
        confidence.append(found.confidence)
        large += [image.stem] * model.contract.is_large(image.mask.shape)
        score = float(np.nan_to_num(one.miou, nan=1.0))
        worst = sorted([*worst, (score, image.stem, image)])[:_EXAMPLES]
        confusion += image.confusion
        sizes += found.sizes
        calibration += found.confidences
    if large:
        logger.warning(
            "%d images, such as %s, are more than twice as large as the training's "
            "%d×%d pixels. They are scored shrunk to the network's size, as every "
            "export answers them; `seglib predict` cuts them into tiles.",
            *(len(large), large[0], *model.contract.window_size),
        )
    return Evaluation(
        split,
        Scores(confusion),
        ImageCounts(tuple(stems), *np.stack(rows, axis=1)),
        np.asarray(confidence),
        Calibration(calibration),
        sizes,
        data.class_names,
        data.data_md5,
        palette=model.contract.palette,
        examples=tuple(
            (f"{stem}: mIoU {score:.3f}", _compared(model, image))
            for score, stem, image in worst
        ),
    )


def _compared(model: SegmentationModel, image: ScoredImage) -> np.ndarray:
    contract = model.contract
    return comparison(
        image.image,
        image.mask,
        image.prediction,
        contract.palette,
        ignore_index=contract.ignore_index,
    )


def _choose(evaluation: Evaluation, sample: int) -> dict[str, str]:
    """The images to show, by stem, with the reason."""
    stems = evaluation.counts.stems
    by_score = sorted(zip(_image_miou(evaluation), stems, strict=True))
    confidence = np.nan_to_num(evaluation.confidence, nan=1).tolist()
    by_doubt = sorted(zip(confidence, stems, strict=True))
    middle = max(0, (len(stems) - NUM_CHOSEN) // 2)
    reasons = dict.fromkeys(spread(stems, sample), "sample")
    for reason, chosen in {
        "median": by_score[middle : middle + NUM_CHOSEN],
        "least sure": by_doubt[:NUM_CHOSEN],
        "worst": by_score[:NUM_CHOSEN],
    }.items():
        reasons |= {stem: reason for _, stem in chosen}
    return reasons


def _write(
    evaluation: Evaluation,
    model: SegmentationModel,
    pairs: Sequence[Pair],
    sample: int,
    out: Path,
) -> None:
    """Write all files. The images to be shown are predicted once more."""
    contract, stems = model.contract, evaluation.counts.stems
    reasons, sampled = _choose(evaluation, sample), set(spread(stems, sample))
    for folder in ("overlays", IMAGES):
        shutil.rmtree(out / folder, ignore_errors=True)
    pictures = {}
    chosen = [pair for pair in pairs if pair.stem in reasons]
    for image in score_pairs(model, chosen, detailed=True):  # its graph is compiled
        if image.stem in sampled:
            picture = overlay(image.image, image.prediction, contract.palette)
            write_bytes(out / "overlays" / f"{image.stem}.png", encode_png(picture))
        picture = _compared(model, image)
        encoded = encode_jpeg(picture, quality=_JPEG_QUALITY)
        write_bytes(out / IMAGES / f"{image.stem}.jpg", encoded)
        pictures[image.stem] = picture
    metrics, table = evaluation.to_metrics(), _image_rows(evaluation)
    report = evaluation_page(
        metrics,
        evaluation.scores.confusion,
        list(pictures.items()),
        scores=dict(zip(stems, _image_miou(evaluation), strict=True)),
        reasons=reasons,
        palette=contract.palette,
        title=f"Evaluation of {contract.architecture} on {contract.encoder}",
    )
    write_text(out / "report.html", report)
    write_text(out / IMAGES_SCRIPT, images_script(*table, pictures=list(pictures)))
    write_bytes(out / "confusion_matrix.csv", _confusion_csv(evaluation))
    write_bytes(out / "per_image.csv", _per_image_csv(evaluation, *table))
    write_counts(evaluation.counts, out / COUNTS)
    content = json.dumps(metrics, indent=2, ensure_ascii=False) + "\n"
    write_bytes(out / "metrics.json", content.encode())


def _image_rows(evaluation: Evaluation) -> tuple[list[str], list[list[Any]]]:
    """Names and values of the table of all images."""
    counts = evaluation.counts
    each, boundary = counts.classes, mean(counts.boundary_iou)
    names = ["stem", "miou_per_image", "pixel_accuracy", "boundary_miou", "confidence"]
    columns = each.miou, each.pixel_accuracy, boundary, evaluation.confidence
    values = np.stack(columns, axis=1).tolist()
    return names, [[stem, *row] for stem, row in zip(counts.stems, values, strict=True)]


def _confusion_csv(evaluation: Evaluation) -> bytes:
    names = evaluation.class_names
    rows = zip(names, evaluation.scores.confusion.tolist(), strict=True)
    return _csv(["true \\ predicted", *names], [[name, *row] for name, row in rows])


def _per_image_csv(
    evaluation: Evaluation, names: list[str], rows: list[list[Any]]
) -> bytes:
    class_iou = evaluation.counts.classes.class_iou.tolist()
    whole = [[*row, *iou] for row, iou in zip(rows, class_iou, strict=True)]
    return _csv([*names, *(f"iou/{name}" for name in evaluation.class_names)], whole)


def _csv(header: list[str], rows: list[list[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode("utf-8", "backslashreplace")


def _image_miou(evaluation: Evaluation) -> list[float]:
    """Of each image alone; an image without counted pixels has no mistakes."""
    return np.nan_to_num(evaluation.counts.classes.miou, nan=1.0).tolist()
