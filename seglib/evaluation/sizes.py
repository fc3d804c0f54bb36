"""Pixels found by the size of the object that they belong to."""

import cv2
import numpy as np

SIZES = {"small": 0, "medium": 32**2, "large": 96**2}  # from so many pixels on
COMPONENTS, TRUE, CORRECT = range(3)


def size_counts(
    mask: np.ndarray,
    prediction: np.ndarray,
    *,
    num_classes: int,
    ignore_index: int | None = None,
) -> np.ndarray:
    """Count the objects of a mask, their pixels, and those of them that were found.

    An object is a connected component of a class, diagonals included. Its size is its
    number of pixels: small below 32², medium below 96², else large, as COCO has them
    (Lin et al. 2014).

    Args:
        mask: integer array (H, W) of ids in [0, num_classes), or `ignore_index`.
        prediction: integer array, same shape.

    Returns:
        int64 (3 sizes, num_classes, 3): objects, their pixels, those predicted so.
    """
    counts = np.zeros((len(SIZES), num_classes, 3), np.int64)
    right = mask == prediction
    for index in _present(mask, num_classes):
        if index == ignore_index:
            continue
        whole = mask == index
        left, top, width, height = cv2.boundingRect(whole.view(np.uint8))
        part = slice(top, top + height), slice(left, left + width)
        inside = whole[part]
        number, labels = cv2.connectedComponents(inside.view(np.uint8))
        own = labels[inside]
        pixels = np.bincount(own, minlength=number)[1:]
        found = np.bincount(own[right[part][inside]], minlength=number)[1:]
        size = np.searchsorted(list(SIZES.values()), pixels, side="right") - 1
        for column, values in enumerate((np.ones_like(pixels), pixels, found)):
            np.add.at(counts[:, index, column], size, values)
    return counts


def _present(mask: np.ndarray, num_classes: int) -> list[int]:
    ids = np.ascontiguousarray(mask, np.uint16)
    found = cv2.calcHist([ids], [0], None, [num_classes], [0, num_classes])
    return np.flatnonzero(found).tolist()
