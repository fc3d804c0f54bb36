"""Counts first, then ratios: the confusion matrix of a whole dataset, and mIoU."""

from typing import Any

import cv2
import keras
import numpy as np

from seglib.errors import SegError
from seglib.evaluation.counts import ClassCounts

# calcHist counts in float32, which is exact up to 2**24.
_MAX_PIXELS = 2**24


def confusion_matrix(
    mask: np.ndarray,
    prediction: np.ndarray,
    *,
    num_classes: int,
    ignore_index: int | None = None,
) -> np.ndarray:
    """Count pixels by true and predicted class.

    Args:
        mask: integer array (..., H, W). Ids in [0, num_classes), or `ignore_index`.
        prediction: integer array, same shape. Ids in [0, num_classes).

    Returns:
        int64 array (num_classes, num_classes), in pixels; `[i, j]` counts pixels of
        true class i predicted as j. Ignored pixels are counted nowhere.

    Raises:
        SegError: shapes differ, or an id is out of range (never dropped silently).

    Example:
        >>> import numpy as np
        >>> mask, prediction = np.array([[0, 1, 9]]), np.array([[0, 0, 1]])
        >>> confusion_matrix(mask, prediction, num_classes=2, ignore_index=9).tolist()
        [[1, 0], [1, 0]]
    """
    if mask.shape != prediction.shape:
        raise SegError(
            "`mask` and `prediction` must have the same shape. Received: "
            f"{mask.shape} and {prediction.shape}."
        )
    true, guess = mask.reshape(-1), prediction.reshape(-1)
    if ignore_index is not None and 0 <= ignore_index < num_classes:
        kept = true != ignore_index  # inside the range the histogram would count it
        true, guess = true[kept], guess[kept]
    counts = np.zeros((num_classes, num_classes), np.int64)
    for start in range(0, true.size, _MAX_PIXELS):
        part = slice(start, start + _MAX_PIXELS)
        counts += _count(true[part], guess[part], num_classes)
    expected = true.size
    if ignore_index is not None:
        expected -= int(np.count_nonzero(true == ignore_index))
    if counts.sum() != expected:
        raise SegError(_out_of_range(true, guess, num_classes, ignore_index))
    return counts


class Scores(ClassCounts):
    """Ratios of a confusion matrix int64 (num_classes, num_classes)."""

    def __init__(self, confusion: np.ndarray):
        super().__init__(np.diag(confusion), confusion.sum(1), confusion.sum(0))
        object.__setattr__(self, "confusion", confusion)

    confusion: np.ndarray

    @property
    def baseline_miou(self) -> float:
        """MIoU of predicting, everywhere, the class with the most pixels."""
        guess = np.zeros_like(self.confusion)
        guess[:, int(self.true.argmax())] = self.true
        return Scores(guess).miou


@keras.saving.register_keras_serializable("seglib")
class MeanIoU(keras.metrics.Metric):
    """mIoU over all pixels since the last reset, counted inside the graph.

    Takes masks (N, H, W) of ids and logits (N, H, W, num_classes). Counts are kept as
    float32: exact below 2**24 pixels a cell, then good to seven digits.
    """

    def __init__(
        self,
        num_classes: int,
        ignore_index: int | None = None,
        name: str = "miou",
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        self.num_classes, self.ignore_index = num_classes, ignore_index
        self.confusion = self.add_variable(
            (num_classes, num_classes), initializer="zeros", name="confusion"
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.confusion.assign_add(self.count(y_true, y_pred))

    def count(self, masks: Any, logits: Any) -> Any:
        """The confusion matrix of one batch, in pixels.

        Args:
            masks: int (N, H, W) of ids; those that are no class are not counted.
            logits: float (N, H, W, num_classes).

        Returns:
            float32 (num_classes, num_classes), as in `confusion_matrix`.
        """
        mask = keras.ops.reshape(keras.ops.cast(masks, "int32"), (-1,))
        guess = keras.ops.reshape(keras.ops.argmax(logits, axis=-1), (-1,))
        cell = mask * self.num_classes + keras.ops.cast(guess, "int32")
        counted = keras.ops.logical_and(mask >= 0, mask < self.num_classes)
        if self.ignore_index is not None:
            counted = keras.ops.logical_and(counted, mask != self.ignore_index)
        counts = keras.ops.segment_sum(
            keras.ops.cast(counted, "float32"),
            keras.ops.where(counted, cell, 0),
            num_segments=self.num_classes**2,
        )
        return keras.ops.reshape(counts, (self.num_classes, self.num_classes))

    def result(self) -> Any:
        correct = keras.ops.diag(self.confusion)
        union = keras.ops.sum(self.confusion, 0) + keras.ops.sum(self.confusion, 1)
        union = union - correct
        present = keras.ops.cast(union > 0, "float32")
        iou = correct / keras.ops.maximum(union, 1.0)
        return keras.ops.sum(iou) / keras.ops.maximum(keras.ops.sum(present), 1.0)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "ignore_index": self.ignore_index,
        }


def _count(true: np.ndarray, guess: np.ndarray, num_classes: int) -> np.ndarray:
    dtype = np.uint8 if num_classes <= 256 and _fits(true, guess) else np.uint16
    if not (_fits(true, guess, 65535)):
        return np.zeros((num_classes, num_classes), np.int64)
    planes = [np.ascontiguousarray(ids, dtype)[None] for ids in (true, guess)]
    limits = [0, num_classes, 0, num_classes]
    counts = cv2.calcHist(planes, [0, 1], None, [num_classes] * 2, limits)
    return counts.astype(np.int64)


def _fits(true: np.ndarray, guess: np.ndarray, largest: int = 255) -> bool:
    return all(
        ids.dtype == np.uint8
        or (ids.min(initial=0) >= 0 and ids.max(initial=0) <= largest)
        for ids in (true, guess)
    )


def _out_of_range(
    true: np.ndarray, guess: np.ndarray, num_classes: int, ignore_index: int | None
) -> str:
    ids = np.unique(true)
    wrong = [int(i) for i in ids if not 0 <= i < num_classes and i != ignore_index]
    wrong_guess = [int(i) for i in np.unique(guess) if not 0 <= i < num_classes]
    where = f"mask ids {wrong[:5]}" if wrong else f"predicted ids {wrong_guess[:5]}"
    return (
        f"Ids must lie in [0, {num_classes}) or be the ignored id ({ignore_index}). "
        f"Received: {where}. Correct the masks, `num_classes` or `ignore_index`."
    )
