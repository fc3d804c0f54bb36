"""Masks in the order in which a model doubts them: what to look at first."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seglib.data.dataset import Dataset
from seglib.data.pairs import Pair
from seglib.data.problems import NOTE, Problem, relative_path

NUM_SHOWN = 12  # of the most doubtful masks, as pictures
_LEAST_FOR_OUTLIERS = 10  # masks
_WHISKER = (
    1.5  # times the distance of the quartiles; Tukey 1977, "Exploratory Data Analysis"
)
_LEAST_CONTRADICTED = 0.01  # of the pixels of a mask that is reported
CAUTION = (
    "A model that was trained on these masks has learnt some of their mistakes: it "
    "contradicts fewer than it would, had it not seen them."
)


@dataclass(frozen=True)
class MaskDoubt:
    """What a model says against one mask.

    quality: soft minimum of the probabilities that the model gives the mask's class of
        each pixel, 0 … 1; the lower, the likelier the mask is wrong.
    contradicted: uint (H, W), the class that the model is confident of instead; the
        mask's own id where it is not.
    """

    split: str
    pair: Pair
    image: np.ndarray
    mask: np.ndarray
    prediction: np.ndarray
    contradicted: np.ndarray
    quality: float


@dataclass(frozen=True)
class Reviewed:
    """A mask, its quality, and the classes that most contradicted pixels confuse."""

    split: str
    mask: Path
    quality: float
    contradicted: float  # share of the pixels
    drawn: int  # the mask's class where most pixels are contradicted
    expected: int  # the class that the model is confident of there


@dataclass(frozen=True)
class Review:
    """The masks in the order of their quality, the most doubtful first.

    confusion: int64 (num_classes, num_classes), contradicted pixels by the mask's class
        and the class that the model is confident of.
    shown: the most doubtful ones, with their pixels.
    """

    dataset: Dataset
    masks: tuple[Reviewed, ...]
    confusion: np.ndarray
    shown: tuple[MaskDoubt, ...]

    @property
    def problems(self) -> list[Problem]:
        """Notes on the masks whose quality is far below that of the others."""
        if len(self.masks) < _LEAST_FOR_OUTLIERS:
            return []
        low, high = np.quantile([each.quality for each in self.masks], (0.25, 0.75))
        return [
            _problem(self.dataset, each)
            for each in self.masks
            if each.quality < low - _WHISKER * (high - low)
            and each.contradicted >= _LEAST_CONTRADICTED
        ]

    def to_json(self) -> dict[str, Any]:
        """All masks, the most doubtful first, and what is confused, as JSON values."""
        return {
            "format_version": 1,
            "caution": CAUTION,
            "masks": [
                {
                    "mask": relative_path(each.mask, self.dataset.root),
                    "split": each.split,
                    "quality": round(each.quality, 6),
                    "contradicted": round(each.contradicted, 6),
                    "drawn": each.drawn,
                    "expected": each.expected,
                }
                for each in self.masks
            ],
            "contradicted_pixels": self.confusion.tolist(),
        }


def confused_classes(doubt: MaskDoubt, num_classes: int) -> np.ndarray:
    wrong = doubt.contradicted != doubt.mask
    codes = doubt.mask[wrong].astype(np.int64) * num_classes + doubt.contradicted[wrong]
    counts = np.bincount(codes, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def _problem(dataset: Dataset, each: Reviewed) -> Problem:
    names = dataset.class_names
    reason = (
        f"quality {each.quality:.3f}: the model contradicts {each.contradicted:.1%} of "
        f"the pixels, most of all {each.drawn} ({names[each.drawn]}), for which it "
        f"sees {each.expected} ({names[each.expected]})"
    )
    remedy = "Look at it in report.html; the model may be wrong. Draw it again if not."
    return Problem(each.mask, reason, remedy, "suspicious-label", NOTE)
