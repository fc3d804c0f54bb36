"""Changes of colour: all that are drawn become one matrix and one table of values."""

from collections.abc import Sequence

import cv2
import numpy as np

_LUMA = np.array([0.299, 0.587, 0.114])  # of ITU-R BT.601
_TO_YIQ = np.array([_LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_TO_YIQ[1:] -= _TO_YIQ[1:].mean(1, keepdims=True)  # grey has no colour, exactly
_FROM_YIQ = np.linalg.inv(_TO_YIQ)


def recolour(
    image: np.ndarray, steps: Sequence[tuple[str, float]], rng: np.random.Generator
) -> np.ndarray:
    """Change the colours of an image; values are cut to 0 … 255 at the end.

    Args:
        image: uint8 (H, W, 1 or 3). A grey one has neither hue nor tint.
        steps: names of transforms and their numbers, in order; gamma comes last.
    """
    matrix = np.eye(3, 4)
    mean = np.resize(cv2.mean(image)[: image.shape[2]], 3)
    table = np.arange(256) / 255.0
    is_grey = image.shape[2] == 1
    for name, value in steps:
        if name == "gamma":
            table **= value
            continue
        change = _change(name, value, matrix, mean, rng)
        if not (is_grey and name == "tint"):
            matrix = change @ np.vstack([matrix, [0, 0, 0, 1]])
    if is_grey:
        # A grey value is the same in all channels: what it becomes is a table too.
        values = np.arange(256) * matrix[0, :3].sum() + matrix[0, 3]
        values = np.interp(values, np.arange(256), table * 255)
        return cv2.LUT(image, _cut(values)).reshape(image.shape)
    if not np.array_equal(matrix, np.eye(3, 4)):
        image = cv2.transform(image, matrix)
    if any(name == "gamma" for name, _ in steps):
        image = cv2.LUT(image, _cut(table * 255))
    return image


def _change(
    name: str,
    value: float,
    before: np.ndarray,
    mean: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """What one transform does to a colour: float64 (3, 4)."""
    change = np.eye(3, 4)
    if name == "brightness":
        change[:, :3] *= value
    elif name == "tint":
        # The same draw, for the first colour; the others get draws of their own.
        change[:, :3] *= np.append(value, 1 + (value - 1) * rng.uniform(-1, 1, 2))
    elif name == "contrast":
        grey = _LUMA @ (before[:, :3] @ mean + before[:, 3])
        change[:, :3] *= value
        change[:, 3] = (1 - value) * grey
    elif name == "saturation":
        change[:, :3] = value * np.eye(3) + (1 - value) * _LUMA
    else:  # hue: a turn in the plane of equal lightness
        angle = np.radians(value)
        turn = np.eye(3)
        turn[1:, 1:] = [
            [np.cos(angle), -np.sin(angle)],
            [np.sin(angle), np.cos(angle)],
        ]
        change[:, :3] = _FROM_YIQ @ turn @ _TO_YIQ
    return change


def _cut(values: np.ndarray) -> np.ndarray:
    return values.round().clip(0, 255).astype(np.uint8)
