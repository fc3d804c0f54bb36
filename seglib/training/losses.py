"""Losses, on any Keras backend: masks of ids and logits in, one number out."""

from collections.abc import Sequence
from typing import Any

import keras

_LEAST_WEIGHT = 1e-6  # of a batch without a pixel that counts


class CrossEntropy(keras.losses.Loss):
    """Weighted cross-entropy over the pixels that count: Σ w·nll / Σ w.

    Ignored pixels weigh nothing, above and below the line, so that the loss of an
    image does not depend on how much of it is void.

    Args:
        ignore_index: id of the pixels that do not count.
        class_weights: one weight a class. Default: 1 each.

    Reference: Long, Shelhamer and Darrell 2015, "Fully Convolutional Networks for
    Semantic Segmentation" (softmax loss per pixel, ambiguous pixels masked out);
    `seglib.training.class_balance` for the weights.
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
