"""The paired bootstrap: is one model better than another on a split's images?

Both models are scored on the same images, and an image that is hard for one is mostly
hard for the other. So the difference is taken image by image. Resampling the images,
for both models at once, shows how much the difference depends on the choice of images.

Reference: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapters 13
and 15; Künsch 1989 for blocks of neighbours.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seglib.errors import SegError, UsageError
from seglib.evaluation.counts import ImageCounts, class_counts, mean, ratio

CONFIDENCE = 0.95
SCORES = (
    *("miou", "mean_dice", "mean_accuracy", "miou_frequency_weighted"),
    *("pixel_accuracy", "class_iou", "class_dice", "class_precision", "class_recall"),
)
_CHUNK = 2**22  # numbers of drawn weights held at a time


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
    miou_p: float = float("nan")  # two-sided, of no difference
    class_p: tuple[float, ...] = ()

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
    challenger = _in_order(challenger, tuple(sorted(challenger.stems)))
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
    mean_draws, class_draws = map(np.concatenate, zip(*draws, strict=True))
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
        miou_p=_p_value(mean_draws),
        class_p=tuple(map(_p_value, class_draws.T)),
    )


def intervals(
    counts: ImageCounts,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = 2000,
    block: int = 1,
    seed: int = 0,
) -> dict[str, list[Interval]]:
    """Percentile intervals of each score over the choice of images.

    Args:
        counts: with `true`, and the boundary's for those scores.
        block: as for `compare`.

    Returns:
        By score, as `score_arrays` names them; one interval for a mean, one a class
        for the scores by class.
    """
    counts = _in_order(counts, tuple(sorted(counts.stems)))
    arrays = counts.arrays
    numbers = np.hstack(list(arrays.values())).astype(np.float64)
    drawn: dict[str, list[np.ndarray]] = defaultdict(list)
    for weights in _weights(len(counts.stems), resamples, block, seed):
        parts = np.split(weights @ numbers, len(arrays), axis=1)
        for name, score in score_arrays(dict(zip(arrays, parts, strict=True))).items():
            drawn[name].append(score.reshape(len(weights), -1))
    sums = {name: array.sum(0) for name, array in arrays.items()}
    tail = (1 - confidence) / 2
    return {
        name: [
            _interval(float(estimate), draws, tail)
            for estimate, draws in zip(
                np.ravel(score), np.concatenate(drawn[name]).T, strict=True
            )
        ]
        for name, score in score_arrays(sums).items()
    }


def score_arrays(sums: dict[str, np.ndarray]) -> dict[str, Any]:
    """The scores of summed counts (..., classes), by name: (...) or (..., classes)."""
    counted = class_counts(sums)
    scores = {name: getattr(counted, name) for name in SCORES}
    if "boundary_union" in sums:
        boundary = ratio(sums["boundary_correct"], sums["boundary_union"])
        scores |= {"boundary_miou": mean(boundary), "class_boundary_iou": boundary}
    return scores


def adjusted(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number; NaN are left out.

    Reference: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    order = [int(i) for i in np.argsort(p_values) if not np.isnan(p_values[i])]
    found, least = [float("nan")] * len(p_values), 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * p_values[place]))
        found[place] = least
    return found


def _p_value(draws: np.ndarray) -> float:
    """Two-sided, of a difference of 0: twice the share of draws on the rarer side."""
    known = draws[~np.isnan(draws)]
    if not known.size:
        return float("nan")
    rarer = min(np.count_nonzero(known <= 0), np.count_nonzero(known >= 0))
    return float(min(1.0, 2 * (rarer + 1) / (known.size + 1)))


def _in_order(counts: ImageCounts, stems: tuple[str, ...]) -> ImageCounts:
    place = {stem: index for index, stem in enumerate(counts.stems)}
    if set(place) != set(stems) or len(place) != len(stems):
        differing = sorted(set(place) ^ set(stems))
        raise SegError(
            "The two models were scored on different images: "
            f"{len(stems)} and {len(place)}; not in both: {', '.join(differing[:5])}. "
            "Evaluate both on one split."
        )
    return counts.take(place[stem] for stem in stems)


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
    my_iou, other_iou = ratio(mine, my_union), ratio(other, other_union)
    return mean(my_iou) - mean(other_iou), my_iou - other_iou


def _interval(estimate: float, draws: np.ndarray, tail: float) -> Interval:
    known = draws[~np.isnan(draws)]
    if np.isnan(estimate) or not known.size:
        return Interval(estimate, float("nan"), float("nan"))
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high))
