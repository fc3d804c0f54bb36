"""Several models on the same images: scores with intervals, and every difference."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seglib.evaluation.bootstrap import (
    Comparison,
    Interval,
    adjusted,
    compare,
    intervals,
)
from seglib.evaluation.counts import ImageCounts

LEVEL = 0.05  # below it a difference is taken to be no chance


@dataclass(frozen=True)
class Difference:
    """One model minus another, with a p-value corrected for the number of tests."""

    model: str
    other: str
    change: Interval
    p: float  # two-sided, after Holm; NaN if there is nothing to compare

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or `not told apart`."""
        if not self.p < LEVEL:
            return "not told apart"
        return "better" if self.change.estimate > 0 else "worse"


@dataclass(frozen=True)
class SideBySide:
    """Scores of each model, and the differences between them."""

    class_names: tuple[str, ...]
    scores: Mapping[str, Mapping[str, list[Interval]]]  # by model, then by score
    pairs: tuple[Difference, ...]  # of the mIoU: every model with every later one
    classes: tuple[tuple[Difference, ...], ...]  # of the IoU: each with the first
    num_images: int
    block: int = 1  # images in a row that were drawn together

    def to_json(self) -> dict[str, Any]:
        """The content of comparison.json; a NaN is written as null."""
        return {
            "format_version": 1,
            "num_images": self.num_images,
            "block": self.block,
            "correction": "Holm, over all pairs; over all classes and models",
            "models": {
                model: {name: _plain(each) for name, each in scores.items()}
                for model, scores in self.scores.items()
            },
            "miou_differences": [_row(one) for one in self.pairs],
            "class_iou_differences": {
                name: [_row(one) for one in row]
                for name, row in zip(self.class_names, self.classes, strict=True)
            },
        }


def side_by_side(
    models: Mapping[str, ImageCounts], class_names: Sequence[str], *, block: int = 1
) -> SideBySide:
    """Compare models that were scored on the same images, by the paired bootstrap.

    The p-values of the mIoU are corrected for the number of pairs, those of the
    classes for the number of classes and models.

    Args:
        block: images in a row that are drawn together; see `bootstrap.compare`.

    Raises:
        SegError: they were not scored on the same images and classes.
    """
    names = list(models)
    compared = {
        (one, other): compare(models[one], models[other], block=block)
        for one, other in itertools.combinations(names, 2)
    }
    p_values = adjusted([found.miou_p for found in compared.values()])
    pairs = tuple(
        Difference(*pair, found.miou, p)
        for (pair, found), p in zip(compared.items(), p_values, strict=True)
    )
    return SideBySide(
        tuple(class_names),
        {name: _intervals(counts, block) for name, counts in models.items()},
        pairs,
        _classes(names, [compared[names[0], other] for other in names[1:]]),
        len(models[names[0]].stems),
        block,
    )


def _classes(
    names: list[str], compared: list[Comparison]
) -> tuple[tuple[Difference, ...], ...]:
    """Each later model minus the first, by class."""
    p_values = adjusted([p for found in compared for p in found.class_p])
    count = len(compared[0].class_iou)
    return tuple(
        tuple(
            Difference(name, names[0], _turned(found.class_iou[index]), p)
            for name, found, p in zip(
                names[1:], compared, p_values[index::count], strict=True
            )
        )
        for index in range(count)
    )


def _turned(change: Interval) -> Interval:
    return Interval(-change.estimate, -change.high, -change.low)


def _intervals(counts: ImageCounts, block: int) -> dict[str, list[Interval]]:
    """None for the counts of an older version, which had no true pixels."""
    if counts.true is not None:
        return intervals(counts, block=block)
    nan = float("nan")
    by_class = [Interval(float(iou), nan, nan) for iou in counts.class_iou]
    return {"miou": [Interval(counts.miou, nan, nan)], "class_iou": by_class}


def _row(one: Difference) -> dict[str, Any]:
    (numbers,) = _plain([one.change])
    return {
        "model": one.model,
        "other": one.other,
        **dict(zip(("difference", "low", "high"), numbers, strict=True)),
        "p": None if math.isnan(one.p) else one.p,
        "verdict": one.verdict,
    }


def _plain(each: list[Interval]) -> list[list[float | None]]:
    return [
        [None if math.isnan(v) else v for v in (one.estimate, one.low, one.high)]
        for one in each
    ]
