"""Sliding windows over an image: their places, and the weight of each in each pixel.

Windows lie on a grid, so that the weights are products of a row's and a column's.
"""

import math
from dataclasses import dataclass

import numpy as np

_SIGMA = 1 / 8  # of the Gaussian, as a share of the window's side


@dataclass(frozen=True)
class Span:
    """A window along one axis: what it covers of the image, and with what weights."""

    start: int  # pixels, in the image
    stop: int
    before: int  # pixels of the window that lie outside of the image
    after: int
    weights: np.ndarray  # float32 (stop - start,); all spans sum to 1 in each pixel


def spans(length: int, window: int, overlap: float) -> list[Span]:
    """The windows along an axis, at even distances, from edge to edge.

    The middle of a window weighs most, by a Gaussian; a pixel that one window covers
    alone has weight 1 there. A window that is longer than the axis is centred on it.

    Args:
        length: of the image, in pixels.
        window: in pixels.
        overlap: of neighbours, at least, as a share of the window, 0 ≤ overlap < 1.

    Reference: Isensee et al. 2021, "nnU-Net: a self-configuring method for deep
    learning-based biomedical image segmentation", Nature Methods 18, Methods.
    """
    if window >= length:
        before = (window - length) // 2
        after = window - length - before
        return [Span(0, length, before, after, np.ones(length, np.float32))]
    step = max(1, math.floor(window * (1 - overlap)))
    count = math.ceil((length - window) / step) + 1
    starts = np.linspace(0, length - window, count).round().astype(int).tolist()
    offsets = (np.arange(window) - (window - 1) / 2) / (window * _SIGMA)
    bell = np.exp(-0.5 * offsets**2)
    total = np.zeros(length)
    for start in starts:
        total[start : start + window] += bell
    return [
        Span(
            start,
            start + window,
            0,
            0,
            (bell / total[start : start + window]).astype(np.float32),
        )
        for start in starts
    ]


def cut(image: np.ndarray, rows: Span, columns: Span) -> np.ndarray:
    """A window (h, w, C) of an image; what lies outside of it is mirrored."""
    part = image[rows.start : rows.stop, columns.start : columns.stop]
    if not (rows.before or rows.after or columns.before or columns.after):
        return part
    around = ((rows.before, rows.after), (columns.before, columns.after), (0, 0))
    return np.pad(part, around, mode="reflect")
