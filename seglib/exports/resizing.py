"""The resizing around an exported network: TensorFlow's, in NumPy and OpenCV."""

from functools import lru_cache

import cv2
import numpy as np

_CHANNELS = 128  # the most that OpenCV takes


def shrink(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize images as `ServedGraph` does: bilinear, antialiased where they shrink.

    Args:
        images: uint8 (N, H, W, C).
        size: (height, width) of the result.

    Returns:
        float32 (N, height, width, C).
    """
    if images.shape[1:3] == size:
        return images.astype(np.float32)
    rows = _shares(images.shape[1], size[0])
    columns = _shares(images.shape[2], size[1])
    wide = np.einsum("rh,nhwc->nrwc", rows, images.astype(np.float32), optimize=True)
    return np.einsum("cw,nrwk->nrck", columns, wide, optimize=True)


def enlarge(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize maps float32 (N, h, w, K) to (N, height, width, K), bilinear."""
    if logits.shape[1:3] == size:
        return logits
    height, width = size
    resized = np.empty((len(logits), height, width, logits.shape[3]), np.float32)
    for first in range(0, logits.shape[3], _CHANNELS):
        some = slice(first, first + _CHANNELS)
        for each, place in zip(logits, resized, strict=True):
            found = cv2.resize(each[..., some], (width, height))
            place[..., some] = found.reshape(height, width, -1)
    return resized


@lru_cache(16)
def _shares(old: int, new: int) -> np.ndarray:
    """What each old pixel contributes to each new one: float32 (new, old).

    A triangle as wide as a new pixel, and at least as an old one, is laid over the old
    pixels.
    """
    scale = old / new
    width = max(scale, 1.0)
    centres = (np.arange(new, dtype=np.float64)[:, None] + 0.5) * scale
    pixels = np.arange(old, dtype=np.float64)[None] + 0.5
    shares = np.maximum(0, 1 - np.abs(pixels - centres) / width)
    return (shares / shares.sum(1, keepdims=True)).astype(np.float32)
