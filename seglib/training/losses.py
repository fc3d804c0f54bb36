"""The loss on the masks, on any Keras backend, and the weights of its classes."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from seglib.data.loader import PairSource
from seglib.errors import SegError

_LEAST_WEIGHT = 1e-6  # of a batch without a pixel that counts


class CrossEntropy(keras.losses.Loss):
    """Weighted cross-entropy over the pixels that count: Σ w·nll / Σ w.

    Ignored pixels weigh nothing, above and below the line, so that the loss of an
    image does not depend on how much of it is void.

    Args:
        ignore_index: id of the pixels that do not count.
        class_weights: one weight a class. Default: 1 each.

    Reference: Long, Shelhamer and Darrell 2015, "Fully Convolutional Networks for
    Semantic Segmentation", arXiv:1411.4038 (a softmax loss of each pixel).
    """

    def __init__(
        self,
        *,
        ignore_index: int | None = None,
        class_weights: Sequence[float] | None = None,
        name: str = "cross_entropy",
    ):
        super().__init__(name=name, reduction="none")
        self.ignore_index = ignore_index
        self.class_weights = class_weights

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of a batch.

        Args:
            y_true: masks, int (N, H, W) of ids.
            y_pred: logits, float (N, H, W, num_classes).

        Returns:
            A scalar of the logits' type; 0 where no pixel counts.
        """
        weight = self.pixel_weights(y_true, y_pred.shape[-1])
        mask = keras.ops.where(weight > 0, keras.ops.cast(y_true, "int32"), 0)
        nll = keras.ops.sparse_categorical_crossentropy(mask, y_pred, from_logits=True)
        weight = keras.ops.cast(weight, nll.dtype)
        total = keras.ops.maximum(keras.ops.sum(weight), _LEAST_WEIGHT)
        return keras.ops.sum(nll * weight) / total

    def pixel_weights(self, masks: Any, num_classes: int) -> Any:
        """What each pixel weighs: its class's weight, or 0 where it does not count.

        Args:
            masks: int (N, H, W) of ids; those from `num_classes` on do not count.

        Returns:
            float32 (N, H, W).
        """
        mask = keras.ops.cast(masks, "int32")
        counts = keras.ops.logical_and(mask >= 0, mask < num_classes)
        if self.ignore_index is not None:
            counts = keras.ops.logical_and(counts, mask != self.ignore_index)
        weight = keras.ops.cast(counts, "float32")
        if self.class_weights is not None:
            table = keras.ops.convert_to_tensor(self.class_weights, "float32")
            weight = weight * keras.ops.take(table, keras.ops.where(counts, mask, 0))
        return weight


def count_class_pixels(
    source: PairSource, *, num_classes: int, ignore_index: int | None
) -> np.ndarray:
    """Count the pixels of each class in all training masks; fills the source's cache.

    Returns:
        int64 (num_classes,); ignored pixels are not counted.

    Raises:
        SegError: a mask holds an id that is neither a class nor ignored.
    """
    pixels = np.zeros(num_classes, np.int64)
    for index in range(len(source)):
        counts = np.bincount(source[index][1].reshape(-1))
        if ignore_index is not None and ignore_index < counts.size:
            counts[ignore_index] = 0
        wrong = np.flatnonzero(counts[num_classes:])
        if wrong.size:
            raise SegError(
                f"A training mask holds the id {num_classes + int(wrong[0])}. "
                f"Expected: ids below num_classes={num_classes}, or "
                f"ignore_index={ignore_index}. "
                "Run `seglib verify`, which names the file."
            )
        pixels[: min(num_classes, counts.size)] += counts[:num_classes]
    return pixels


def class_weights(class_pixels: np.ndarray, power: float) -> np.ndarray:
    """Weights (1 / pixel share) ** power, scaled so that the average pixel weighs 1.

    Args:
        class_pixels: int64 (num_classes,), counted pixels of each class.
        power: 0 gives equal weights, 1 makes every class weigh the same in sum.

    Returns:
        float64 (num_classes,). A class without pixels gets weight 1.

    Example:
        >>> class_weights(np.array([75, 25]), 1.0).round(3).tolist()
        [0.667, 2.0]

    Reference: Eigen and Fergus 2015, "Predicting Depth, Surface Normals and Semantic
    Labels with a Common Multi-Scale Convolutional Architecture", arXiv:1411.4734: the
    weight of a class is the median frequency over its own, as with power 1 here, but
    for the scale, and with frequencies of those images that the class is in.
    """
    share = class_pixels / max(1, class_pixels.sum())
    present = share > 0
    weights = np.ones(len(share))
    weights[present] = share[present] ** -power
    weights[present] /= (weights[present] * share[present]).sum()
    return weights
