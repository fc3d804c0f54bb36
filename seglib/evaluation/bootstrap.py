"""The paired bootstrap: is one model better than another on a split's images?

Both models are scored on the same images, and an image that is hard for one is mostly
hard for the other. So the difference is taken image by image. Resampling the images,
for both models at once, shows how much the difference depends on the choice of images.

Reference: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapters 13
and 15; Künsch 1989 for blocks of neighbours.
"""

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from seglib.errors import SegError, UsageError
from seglib.storage.atomic_write import write_bytes

COUNTS = "counts.npz"  # of an evaluation's folder
_CHUNK = 2**22  # numbers of drawn weights held at a time


@dataclass(frozen=True)
class ImageCounts:
    """Correct and united pixels of a model, by image and class.

    `correct` and `union` are int64 (images, classes), in pixels: the sum of the one
    over the sum of the other is a class's IoU over any set of images.
    """

    stems: tuple[str, ...]
    correct: np.ndarray
    union: np.ndarray

    @classmethod
    def of(cls, confusions: dict[str, np.ndarray]) -> "ImageCounts":
        """Count from the confusion matrix (classes, classes) of each image, by stem."""
        stacked = np.stack(list(confusions.values()))
        correct = np.diagonal(stacked, axis1=1, axis2=2)
        union = stacked.sum(1) + stacked.sum(2) - correct
        return cls(tuple(confusions), correct, union)

    @property
    def class_iou(self) -> np.ndarray:
        """IoU over all images, float64 (classes,); NaN if a class does not occur."""
        return _iou(self.correct.sum(0), self.union.sum(0))

    @property
    def miou(self) -> float:
        """Mean over the classes that occur."""
        return float(_mean(self.class_iou))


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Challenger minus champion; positive is better, NaN marks absent classes."""

    challenger_miou: float
    champion_miou: float
    miou: Interval
    class_iou: tuple[Interval, ...]
    num_images: int
    confidence: float

    def is_better(self, min_delta: float = 0.0) -> bool:
        """Whether the low end of the mIoU's interval exceeds `min_delta`."""
        return self.miou.low > min_delta

    def lost_classes(self, max_drop: float = 0.05) -> tuple[int, ...]:
        """Classes whose IoU fell by more than `max_drop`, with an interval below 0."""
        return tuple(
            index
            for index, change in enumerate(self.class_iou)
            if change.estimate < -max_drop and change.high < 0
        )


def compare(
    challenger: ImageCounts,
    champion: ImageCounts,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    block: int = 1,
    seed: int = 0,
) -> Comparison:
    """Compare two models that were scored on the same images.

    Args:
        challenger: counts of the new model.
        champion: counts of the present one.
        confidence: of the intervals, two-sided: a low end above 0 has a chance of at
            most (1 - confidence) / 2 if the models are equally good.
        block: images in a row, by stem, that are drawn together: frames of a video
            resemble each other, and drawn one by one they would pass for more
            evidence than they are.

    Raises:
        SegError: the two were not scored on the same images and classes.
        UsageError: a value out of its range.
    """
    if not 0 < confidence < 1 or resamples < 100 or block < 1:
        raise UsageError(
            "Expected: confidence between 0 and 1, resamples ≥ 100, block ≥ 1. "
            f"Received: {confidence}, {resamples}, {block}."
        )
    champion = _in_order(champion, challenger.stems)
    if champion.correct.shape != challenger.correct.shape:
        raise SegError(
            "The two models have different classes: "
            f"{challenger.correct.shape[1]} and {champion.correct.shape[1]}."
        )
    pairs = (challenger, champion)
    numbers = np.hstack([part for one in pairs for part in (one.correct, one.union)])
    draws = [
        _differences(weights @ numbers.astype(np.float64))
        for weights in _weights(len(challenger.stems), resamples, block, seed)
    ]
    mean_draws = np.concatenate([mean for mean, _ in draws])
    class_draws = np.concatenate([each for _, each in draws])
    tail = (1 - confidence) / 2
    each = challenger.class_iou - champion.class_iou
    return Comparison(
        challenger_miou=challenger.miou,
        champion_miou=champion.miou,
        miou=_interval(challenger.miou - champion.miou, mean_draws, tail),
        class_iou=tuple(
            _interval(float(estimate), class_draws[:, index], tail)
            for index, estimate in enumerate(each)
        ),
        num_images=len(challenger.stems),
        confidence=confidence,
    )


def write_counts(counts: ImageCounts, path: Path) -> None:
    """Write the counts as one .npz file, atomically."""
    content = io.BytesIO()
    np.savez_compressed(
        content,
        stems=np.asarray(counts.stems),
        correct=counts.correct,
        union=counts.union,
    )
    write_bytes(path, content.getvalue())


def read_counts(path: Path) -> ImageCounts:
    """Read what `write_counts` wrote.

    Raises:
        SegError: no such file, or another one.
    """
    try:
        content = io.BytesIO(Path(path).read_bytes())
        with np.load(content, allow_pickle=False) as file:
            stems = tuple(map(str, file["stems"]))
            correct, union = file["correct"], file["union"]
        if correct.ndim != 2 or not len(stems) == len(correct) == len(union):
            raise ValueError(f"shapes {correct.shape} and {union.shape}")
        return ImageCounts(stems, correct, union)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
        raise SegError(
            f"{path}: not the counts of an evaluation ({error}). Evaluate again."
        ) from error


def _in_order(counts: ImageCounts, stems: tuple[str, ...]) -> ImageCounts:
    place = {stem: index for index, stem in enumerate(counts.stems)}
    if set(place) != set(stems) or len(place) != len(stems):
        differing = sorted(set(place) ^ set(stems))
        raise SegError(
            "The two models were scored on different images: "
            f"{len(stems)} and {len(place)}; not in both: {', '.join(differing[:5])}. "
            "Evaluate both on one split."
        )
    order = [place[stem] for stem in stems]
    return ImageCounts(stems, counts.correct[order], counts.union[order])


def _weights(images: int, resamples: int, block: int, seed: int) -> Iterator[Any]:
    """How often each image is drawn: float64 (some, images), `resamples` in all."""
    rng = np.random.default_rng(seed)
    block = min(block, images)
    blocks = -(-images // block)
    at_a_time = max(1, _CHUNK // images)
    for start in range(0, resamples, at_a_time):
        rows = min(at_a_time, resamples - start)
        firsts = rng.integers(0, images, (rows, blocks, 1))
        drawn = ((firsts + np.arange(block)) % images).reshape(rows, -1)[:, :images]
        cells = drawn + images * np.arange(rows)[:, None]
        counts = np.bincount(cells.ravel(), minlength=rows * images)
        yield counts.reshape(rows, images).astype(np.float64)


def _differences(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of mIoU (draws,) and of each class's IoU (draws, classes)."""
    mine, my_union, other, other_union = np.split(sums, 4, axis=1)
    my_iou, other_iou = _iou(mine, my_union), _iou(other, other_union)
    return _mean(my_iou) - _mean(other_iou), my_iou - other_iou


def _iou(correct: np.ndarray, union: np.ndarray) -> np.ndarray:
    return np.divide(
        correct, union, out=np.full(np.shape(correct), np.nan), where=union > 0
    )


def _mean(iou: np.ndarray) -> Any:
    present = ~np.isnan(iou)
    total = np.where(present, iou, 0).sum(-1)
    return total / np.maximum(present.sum(-1), 1)


def _interval(estimate: float, draws: np.ndarray, tail: float) -> Interval:
    known = draws[~np.isnan(draws)]
    if np.isnan(estimate) or not known.size:
        return Interval(estimate, float("nan"), float("nan"))
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high))
