"""How often each class occurs in the training masks, and what a pixel of it weighs."""

import numpy as np

from seglib.data.loader import PairSource
from seglib.errors import SegError


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
    Labels", which balances classes by the inverse of their frequency (power 1 here).
    """
    share = class_pixels / max(1, class_pixels.sum())
    present = share > 0
    weights = np.ones(len(share))
    weights[present] = share[present] ** -power
    weights[present] /= (weights[present] * share[present]).sum()
    return weights
