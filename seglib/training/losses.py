"""Losses, on any Keras backend: masks of ids and logits in, one number out."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from seglib.distributed.collectives import as_one_loss, sum_of_replicas


class CrossEntropy(keras.losses.Loss):
    """Cross-entropy over the counted pixels: sum of w·nll over sum of w.

    Ignored pixels weigh nothing, in the numerator and in the denominator, so that the
    loss of an image does not depend on how much of it is void. Where several devices
    share a batch, the denominator is the whole batch's.

    Args:
        ignore_index: id of the pixels that do not count.
        class_weights: one weight a class. Default: 1 each.
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
        """Masks (N, H, W) of ids and logits (N, H, W, C) → a scalar."""
        mask = keras.ops.cast(y_true, "int32")
        num_classes = y_pred.shape[-1]
        counted = keras.ops.logical_and(mask >= 0, mask < num_classes)
        if self.ignore_index is not None:
            counted = keras.ops.logical_and(counted, mask != self.ignore_index)
        mask = keras.ops.where(counted, mask, 0)
        loss = keras.ops.sparse_categorical_crossentropy(mask, y_pred, from_logits=True)
        weight = keras.ops.cast(counted, loss.dtype)
        if self.class_weights is not None:
            table = keras.ops.convert_to_tensor(self.class_weights, loss.dtype)
            weight = weight * keras.ops.take(table, mask)
        total = keras.ops.maximum(sum_of_replicas(keras.ops.sum(weight)), 1e-6)
        return as_one_loss(keras.ops.sum(loss * weight) / total)


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
    """
    share = class_pixels / max(1, class_pixels.sum())
    present = share > 0
    weights = np.ones(len(share))
    weights[present] = share[present] ** -power
    weights[present] /= (weights[present] * share[present]).sum()
    return weights
