"""Doubts about masks: where a trained model confidently contradicts them.

References: Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating
Uncertainty in Dataset Labels", section 3.1, for the thresholds; Lad and Mueller 2023,
"Estimating label quality and errors in semantic segmentation data via any model", for
the soft minimum.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from seglib.data.pairs import Pair, split, spread
from seglib.evaluation.doubts import MaskDoubt
from seglib.evaluation.scoring import decoded_batches
from seglib.models.model import SegmentationModel

_TEMPERATURE = 0.1  # of the soft minimum, as Lad and Mueller 2023
_FOR_THRESHOLDS = 64  # images, evenly spread


def doubts(
    model: SegmentationModel,
    splits: Mapping[str, Sequence[Pair]],
    *,
    ignore_index: int | None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[MaskDoubt]:
    """Compare each mask with what a model predicts.

    A pixel contradicts its mask where the model predicts another class with at least
    the probability that it gives that class, on the average, where masks show it. The
    averages are taken over 64 images that are evenly spread.

    Raises:
        SegError: a file cannot be read, or sizes differ; names the file.
    """
    graph = _Comparison(model)
    every = [(name, pair) for name, pairs in splits.items() for pair in pairs]
    sample = [pair for _, pair in spread(every, _FOR_THRESHOLDS)]
    graph.thresholds.assign(_thresholds(graph, sample, ignore_index))
    done = 0
    for name, pairs in splits.items():
        for batch in decoded_batches(model, pairs):
            compared = graph.compare(batch)
            for (pair, image, mask), likely, prediction, confident in zip(
                batch, *compared, strict=True
            ):
                counted = _counted(mask, graph.num_classes, ignore_index)
                sure = counted & confident
                yield MaskDoubt(
                    name,
                    pair,
                    split(image, model.contract.inputs)[0],
                    mask,
                    prediction,
                    np.where(sure, prediction, mask).astype(mask.dtype),
                    soft_minimum(likely[counted]),
                )
            done += len(batch)
            if progress:
                progress(done, len(every))


def soft_minimum(values: np.ndarray) -> float:
    """Mean of values 0 … 1 that weighs the small ones most; 1 of none."""
    if not values.size:
        return 1.0
    weights = np.exp((values.min() - values) / _TEMPERATURE)
    return float((values * weights).sum() / weights.sum())


def _thresholds(
    graph: "_Comparison", pairs: Sequence[Pair], ignore_index: int | None
) -> np.ndarray:
    """Mean probability of each class over its own pixels: float32 (num_classes,).

    1 for a class without pixels, of which nothing is known.
    """
    sums, counts = np.zeros((2, graph.num_classes))
    for batch in decoded_batches(graph.model, pairs):
        likely, *_ = graph.compare(batch)
        for (_, _, mask), each in zip(batch, likely, strict=True):
            counted = _counted(mask, graph.num_classes, ignore_index)
            ids = mask[counted]
            sums += np.bincount(ids, each[counted], minlength=graph.num_classes)
            counts += np.bincount(ids, minlength=graph.num_classes)
    mean = sums / np.maximum(counts, 1)
    return np.where(counts > 0, mean, 1.0).astype(np.float32)


def _counted(
    mask: np.ndarray, num_classes: int, ignore_index: int | None
) -> np.ndarray:
    counted = mask < num_classes
    return counted if ignore_index is None else counted & (mask != ignore_index)


class _Comparison(keras.Model):
    """Compares masks with predictions on the device, which needs little of them."""

    def __init__(self, model: SegmentationModel):
        super().__init__(name="comparison")
        self.model, self.num_classes = model, model.contract.num_classes
        self.served = model.served
        self._ids = np.dtype(model.contract.mask_dtype).name
        self.thresholds = self.add_weight(
            shape=(self.num_classes,), initializer="ones", trainable=False
        )
        self.jit_compile = False  # images come in many sizes

    def compare(
        self, batch: Sequence[tuple[Pair, np.ndarray, np.ndarray]]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each pixel: probability of the mask's class, prediction, confidence."""
        images = np.stack([image for _, image, _ in batch])
        masks = np.stack([mask for _, _, mask in batch]).astype(np.int32)
        ids = np.minimum(masks, self.num_classes - 1)
        return self.predict_on_batch((images, ids))

    def call(self, inputs: Any, *, training: bool = False) -> Any:
        images, ids = inputs
        logits = self.served(images, training=training)
        probabilities = keras.ops.softmax(logits, axis=-1)
        likely = keras.ops.take_along_axis(probabilities, ids[..., None], axis=-1)
        prediction = keras.ops.argmax(logits, axis=-1)
        needed = keras.ops.take(self.thresholds, prediction)
        confident = keras.ops.max(probabilities, axis=-1) >= needed
        return likely[..., 0], keras.ops.cast(prediction, self._ids), confident
