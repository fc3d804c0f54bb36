"""Evaluation at the images' original size: numbers, tables, pictures and a report."""

import csv
import io
import json
import logging
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from seglib.arguments import checked
from seglib.config import EvaluateConfig
from seglib.data.dataset import Dataset, default_class_names
from seglib.data.image_io import encode_png
from seglib.data.pairs import Pair, spread
from seglib.data.verification.loading import opened
from seglib.drawing.pictures import comparison, overlay
from seglib.evaluation.calibration import Calibration
from seglib.evaluation.counts import COUNTS, ImageCounts, mean, write_counts
from seglib.evaluation.evaluation import Evaluation
from seglib.evaluation.latency import measure_latency
from seglib.evaluation.metrics import Scores
from seglib.evaluation.scoring import (
    Details,
    ScoredImage,
    check_classes,
    score_pairs,
)
from seglib.hardware import device_name
from seglib.models.contract import NETWORK, Contract
from seglib.models.model import (
    HISTORY,
    SETTINGS,
    SegmentationModel,
    opened_model,
)
from seglib.progress import Progress, Tell, shown
from seglib.report.evaluation_page import (
    IMAGES,
    IMAGES_SCRIPT,
    evaluation_page,
    images_script,
)
from seglib.report.layers import SUFFIXES, Layers, layers
from seglib.report.verdict import REPORT
from seglib.storage.atomic_write import write_bytes, write_text

logger = logging.getLogger(__name__)

_EXAMPLES = 3  # worst images that an evaluation keeps
NUM_CHOSEN = 4  # worst, median and least sure images, beside the sample
_MOST_PICTURES = 250  # of larger splits, only the chosen images get pictures


@checked
def evaluate(
    model: SegmentationModel | str | Path,
    data: Dataset | str | Path,
    *,
    config: EvaluateConfig | None = None,
    out: str | Path | None = None,
    progress: Progress = None,
    facts: Mapping[str, str] | None = None,
) -> Evaluation:
    """Score a model on a split, each image at its original size.

    Args:
        model: a model, or the folder of one.
        data: a dataset, or its folder, of which the scored split is verified.
        out: folder for metrics.json, confusion_matrix.csv, per_image.csv, counts.npz,
            overlays/STEM.png (the same images in every run) and report.html, beside
            which lie the table of all images and their pictures at full size.
        progress: see `seglib.train`.
        facts: for the page, such as the commit: name -> text, or the address of a
            page.

    Raises:
        DatasetError: the dataset's classes are not the model's, or it has no such
            split.
    """
    config = config or EvaluateConfig()
    folder = None if isinstance(model, SegmentationModel) else Path(model)
    model = opened_model(model)
    data = opened(data, splits=(config.split,))
    check_classes(model.contract, data)
    data.check_inputs(model.contract.inputs)
    split = data.evaluation_split if config.split == "auto" else config.split
    pairs = data.pairs(split)
    with shown(progress, f"evaluating {split}") as tell:
        if not out:
            return _score(model, data, split, tell)
        sample = {pair.stem for pair in spread(pairs, config.num_overlays)}
        every = len(pairs) <= _MOST_PICTURES
        pictures = _Pictures(model.contract, sample, every=every)
        evaluation = _score(model, data, split, tell, pictures.add)
        reasons = _choose(evaluation, sample)
        rest = [p for p in pairs if p.stem in reasons.keys() - pictures.layers.keys()]
        for image in score_pairs(model, rest, detailed=True):  # its graph is compiled
            pictures.add_layers(image)
        facts = _facts(model, folder, data, pairs) | dict(facts or {})
        _write(evaluation, pictures, reasons, facts, folder, Path(out))
    return evaluation


@dataclass
class _Pictures:
    """The files of pictures by stem, encoded as they come."""

    contract: Contract
    sample: Collection[str]  # stems that get an overlay
    every: bool  # whether all images get layers
    overlays: dict[str, bytes] = field(default_factory=dict)
    layers: dict[str, Layers] = field(default_factory=dict)

    def add(self, image: ScoredImage) -> None:
        if image.stem in self.sample:
            painted = overlay(image.image, image.prediction, self.contract.palette)
            self.overlays[image.stem] = encode_png(painted)
        if self.every:
            self.add_layers(image)

    def add_layers(self, image: ScoredImage) -> None:
        self.layers[image.stem] = layers(
            image.image,
            image.mask,
            image.prediction,
            self.contract.palette,
            ignore_index=self.contract.ignore_index,
        )


def _nothing(_image: ScoredImage) -> None:
    pass


def _score(
    model: SegmentationModel,
    data: Dataset,
    split: str,
    progress: Tell,
    add_picture: Callable[[ScoredImage], None] = _nothing,
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
        add_picture(image)
    if large:
        logger.warning(
            "%d images, such as %s, are more than twice as large as the training's "
            "%d×%d pixels. They are scored shrunk to the network's size, as every "
            "export answers them; `seglib predict` cuts them into tiles.",
            *(len(large), large[0], *model.contract.window_size),
        )
    unnamed = data.class_names == default_class_names(data.num_classes)
    return Evaluation(
        split,
        Scores(confusion),
        ImageCounts(tuple(stems), *np.stack(rows, axis=1)),
        np.asarray(confidence),
        Calibration(calibration),
        sizes,
        model.contract.class_names if unnamed else data.class_names,
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


def _choose(evaluation: Evaluation, sample: Collection[str]) -> dict[str, str]:
    """The images to show, by stem, with the reason."""
    stems = evaluation.counts.stems
    by_score = sorted(zip(_image_miou(evaluation), stems, strict=True))
    confidence = np.nan_to_num(evaluation.confidence, nan=1).tolist()
    by_doubt = sorted(zip(confidence, stems, strict=True))
    middle = max(0, (len(stems) - NUM_CHOSEN) // 2)
    reasons = dict.fromkeys(sample, "sample")
    for reason, chosen in {
        "median": by_score[middle : middle + NUM_CHOSEN],
        "least sure": by_doubt[:NUM_CHOSEN],
        "worst": by_score[:NUM_CHOSEN],
    }.items():
        reasons |= {stem: reason for _, stem in chosen}
    return reasons


def _facts(
    model: SegmentationModel, folder: Path | None, data: Dataset, pairs: Sequence[Pair]
) -> dict[str, str]:
    """About model and data; latency is that of this machine."""
    contract = model.contract
    size = "×".join(map(str, contract.image_size))
    latency_ms, measured = measure_latency(model, pairs[0])
    file = folder / NETWORK if folder else None
    facts = {
        "Model": f"{_title(contract)}, {size} pixels",
        "First weights": contract.first_weights or "random",
        "Parameters": f"{model.network.count_params():,}",
        "Size": f"{file.stat().st_size / 1e6:.1f} MB" if file else "",
        "Latency": f"{latency_ms:.0f} ms for an image of "
        f"{'×'.join(map(str, measured))} on {device_name()}",
        "Data": data.root.resolve().name,
        "Evaluated": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }
    return {name: text for name, text in facts.items() if text}


def _write(
    evaluation: Evaluation,
    pictures: _Pictures,
    reasons: Mapping[str, str],
    facts: Mapping[str, str],
    folder: Path | None,
    out: Path,
) -> None:
    """Write all files; `folder` is that of the model."""
    contract = pictures.contract
    for name in ("overlays", IMAGES):
        shutil.rmtree(out / name, ignore_errors=True)
    for stem, painted in pictures.overlays.items():
        write_bytes(out / "overlays" / f"{stem}.png", painted)
    for stem, parts in pictures.layers.items():
        for name, suffix in SUFFIXES.items():
            write_bytes(out / IMAGES / f"{stem}{suffix}", parts[name])
    metrics, table = evaluation.to_metrics(), _image_rows(evaluation)
    stems, mious = evaluation.counts.stems, evaluation.counts.classes.miou.tolist()
    history, settings = _training(folder)
    report = evaluation_page(
        metrics,
        evaluation.scores.confusion,
        {stem: pictures.layers[stem] for stem in reasons},
        scores=dict(zip(stems, mious, strict=True)),
        reasons=reasons,
        palette=contract.palette,
        title=f"Evaluation of {_title(contract)}",
        subtitle=f"{metrics['split']} split of {facts['Data']}",
        facts=facts,
        settings=settings,
        history=history,
    )
    write_text(out / REPORT, report)
    script = images_script(*table, pictures=list(pictures.layers))
    write_text(out / IMAGES_SCRIPT, script)
    write_bytes(out / "confusion_matrix.csv", _confusion_csv(evaluation))
    write_bytes(out / "per_image.csv", _per_image_csv(evaluation, *table))
    write_counts(evaluation.counts, out / COUNTS)
    content = json.dumps(metrics, indent=2, ensure_ascii=False) + "\n"
    write_bytes(out / "metrics.json", content.encode())


def _title(contract: Contract) -> str:
    name, encoder = contract.architecture, contract.encoder
    return name if name == encoder else f"{name} on {encoder}"


def _training(folder: Path | None) -> tuple[list[dict[str, Any]], str]:
    """History and settings of a model's training, where they lie beside it."""
    history: list[dict[str, Any]] = []
    settings = ""
    if folder and (path := folder / HISTORY).is_file():
        history = json.loads(path.read_bytes())
    if folder and (path := folder / SETTINGS).is_file():
        settings = path.read_text(encoding="utf-8")
    return history, settings


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
    """Of each image alone, to choose from; nothing is wrong where nothing counts."""
    return np.nan_to_num(evaluation.counts.classes.miou, nan=1.0).tolist()
