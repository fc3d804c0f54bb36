"""Calibration: whether a model that says 0.9 is right nine times in ten.

Reference: Guo, Pleiss, Sun and Weinberger 2017, "On Calibration of Modern Neural
Networks", section 2.
"""

from dataclasses import dataclass

import numpy as np

from seglib.evaluation.counts import ratio
from seglib.models.model import CONFIDENCE_LEVELS, CONFIDENCE_STEP

BINS = 15
STEP, LEVELS = CONFIDENCE_STEP, CONFIDENCE_LEVELS
_PIXELS, _CORRECT, _CONFIDENCE = range(3)


def confidence_counts(
    mask: np.ndarray,
    prediction: np.ndarray,
    confidences: np.ndarray,
    *,
    num_classes: int,
    ignore_index: int | None = None,
) -> np.ndarray:
    """Count the sampled pixels of an image by predicted class and confidence.

    Args:
        mask: integer array (H, W) of ids in [0, num_classes), or `ignore_index`.
        prediction: integer array, same shape.
        confidences: uint16, as `SegmentationModel.predict_with_confidences` gives
            them.

    Returns:
        int64 (num_classes, BINS, 3): pixels, right ones, sum of confidences.
    """
    true, guess = mask[::STEP, ::STEP], prediction[::STEP, ::STEP]
    kept = np.ones(true.shape, bool) if ignore_index is None else true != ignore_index
    true, guess, levels = true[kept], guess[kept], confidences[kept].astype(np.int64)
    cells = guess * np.int64(BINS) + levels * BINS // (LEVELS + 1)
    size = num_classes * BINS
    parts = [
        np.bincount(cells, minlength=size),
        np.bincount(cells[true == guess], minlength=size),
        np.bincount(cells, levels, minlength=size),  # whole numbers: exact
    ]
    return np.stack(parts, -1).astype(np.int64).reshape(num_classes, BINS, 3)


@dataclass(frozen=True)
class Calibration:
    """Confidence beside accuracy, of counts int64 (num_classes, BINS, 3)."""

    counts: np.ndarray

    @property
    def pixels(self) -> np.ndarray:
        """Sampled pixels of each bin, (BINS,)."""
        return self.counts.sum(0)[:, _PIXELS]

    @property
    def accuracy(self) -> np.ndarray:
        """Share of right pixels of each bin, (BINS,); NaN for an empty one."""
        return ratio(self.counts.sum(0)[:, _CORRECT], self.pixels)

    @property
    def confidence(self) -> np.ndarray:
        """Mean confidence of each bin, (BINS,); NaN for an empty one."""
        return ratio(self.counts.sum(0)[:, _CONFIDENCE], LEVELS * self.pixels)

    @property
    def ece(self) -> float:
        """Expected calibration error: mean distance of the two, by pixels."""
        apart = np.nan_to_num(np.abs(self.accuracy - self.confidence))
        return float(ratio((apart * self.pixels).sum(), self.pixels.sum()))

    @property
    def class_confidence(self) -> np.ndarray:
        """Mean confidence where each class is predicted, (num_classes,)."""
        sums = self.counts.sum(1)
        return ratio(sums[:, _CONFIDENCE], LEVELS * sums[:, _PIXELS])

    @property
    def class_accuracy(self) -> np.ndarray:
        """Share of right pixels where each class is predicted, (num_classes,)."""
        sums = self.counts.sum(1)
        return ratio(sums[:, _CORRECT], sums[:, _PIXELS])
