"""Boundary IoU: how well the contours of the classes are met.

Reference: Cheng, Girshick, Dollár, Berg and Kirillov 2021, "Boundary IoU: Improving
Object-Centric Image Segmentation Evaluation" (arXiv:2103.16562), equation 2.
"""

import math

import cv2
import numpy as np

BAND = 0.02  # of the image's diagonal: the paper's choice for large objects and scenes


def boundary_counts(
    mask: np.ndarray,
    prediction: np.ndarray,
    *,
    num_classes: int,
    ignore_index: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Count the pixels of each class near its contours, in mask and prediction.

    A pixel of a class is near the contour if, at most `band_width` rows and columns
    away, there is a pixel that is not of the class, or the edge of the image. Ignored
    pixels are of no class, in the mask and in the prediction alike.

    Args:
        mask: integer array (H, W) of ids in [0, num_classes), or `ignore_index`.
        prediction: integer array, same shape, of ids in [0, num_classes).

    Returns:
        int64 (num_classes,) each: pixels near both contours, and near either. The one
        over the other is the boundary IoU.
    """
    if mask.size == 0:
        return (np.zeros(num_classes, np.int64),) * 2
    width = band_width(mask.shape)
    dtype = np.uint8 if num_classes < 256 else np.uint16
    true, guess = mask.astype(dtype), prediction.astype(dtype)
    if ignore_index is not None:
        ignored = mask == ignore_index
        true[ignored] = guess[ignored] = num_classes  # an id that nothing else has
    near_true, near_guess = _near(true, width), _near(guess, width)
    both = near_true & near_guess & (true == guess)
    met, first, second = (
        np.bincount(ids, minlength=num_classes + 1)[:num_classes]
        for ids in (true[both], true[near_true], guess[near_guess])
    )
    return met, first + second - met


def band_width(shape: tuple[int, ...]) -> int:
    """How far from a contour a pixel is still near it, in pixels, at least 1."""
    return max(1, round(BAND * math.hypot(*shape[:2])))


def _near(ids: np.ndarray, width: int) -> np.ndarray:
    """Pixels whose square of 2 width + 1 pixels is not of one class: bool (H, W)."""
    square = np.ones((2 * width + 1,) * 2, np.uint8)
    near = cv2.erode(ids, square) != cv2.dilate(ids, square)
    near[:width] = near[-width:] = near[:, :width] = near[:, -width:] = True
    return near
