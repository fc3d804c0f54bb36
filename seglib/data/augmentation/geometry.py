"""Moves of a pair: all that are drawn become one warp of image and mask."""

import math
from functools import lru_cache

import cv2
import numpy as np

from seglib.data.pairs import join

_MOST_CHANNELS = 4  # that OpenCV warps at once
_ELASTIC_CELLS = 6  # along the shorter side; neighbours are shifted independently


def transform_matrix(
    name: str, value: float, size: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Where a move takes each pixel: float64 (3, 3), on columns (x, y, 1).

    Args:
        value: the number of the transform, in its unit.
        size: (height, width); the coordinates of a pixel are those of its centre.
    """
    height, width = size
    if name == "perspective":
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]])
        moved = corners + rng.uniform(-value, value, (4, 2)) * (width, height)
        matrix = cv2.getPerspectiveTransform(
            corners.astype(np.float32), moved.astype(np.float32)
        )
        return _about(-0.5, -0.5, matrix)
    if name == "crop":
        left, top = rng.random(2) * (1 - value) * (width, height)
        matrix = np.array([[1, 0, -left], [0, 1, -top], [0, 0, value]]) / value
        return _about(-0.5, -0.5, matrix)
    matrix = np.eye(3)
    if name == "translate":
        matrix[:2, 2] = value * width, rng.choice([-1, 1]) * value * height
        return matrix
    matrix[:2, :2] = _linear(name, value, size, rng)
    return _about((width - 1) / 2, (height - 1) / 2, matrix)


def warp(
    image: np.ndarray,
    mask: np.ndarray,
    matrix: np.ndarray,
    shift: np.ndarray | None,
    void: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Move a pair, the image bilinear and the mask to its nearest pixel.

    Args:
        image: uint8 (H, W, C).
        mask: uint8 or uint16 (H, W), ids.
        matrix: float64 (3, 3), where it takes each pixel.
        shift: float32 (H, W, 2), in pixels, by which the place in the image that a
            pixel shows is moved; None: not at all.
        void: id of what is revealed, which is black. None: a mirror image.
    """
    size = (mask.shape[1], mask.shape[0])
    border = cv2.BORDER_REFLECT_101 if void is None else cv2.BORDER_CONSTANT
    places = None if shift is None else _places(matrix, shift)
    flipped = None if places is not None else _flip_code(matrix, size)

    def moved(part: np.ndarray, how: int, fill: float) -> np.ndarray:
        if flipped is not None:
            return cv2.flip(part, flipped)
        if places is not None:
            return cv2.remap(
                part, places, None, how, borderMode=border, borderValue=fill
            )
        if np.array_equal(matrix[2], (0, 0, 1)):
            return cv2.warpAffine(
                part, matrix[:2], size, flags=how, borderMode=border, borderValue=fill
            )
        return cv2.warpPerspective(
            part, matrix, size, flags=how, borderMode=border, borderValue=fill
        )

    parts = [
        moved(np.ascontiguousarray(image[..., i : i + _MOST_CHANNELS]), *(1, 0))
        for i in range(0, image.shape[2], _MOST_CHANNELS)
    ]
    images = [part if part.ndim == 3 else part[..., None] for part in parts]
    return join(images), moved(mask, cv2.INTER_NEAREST, void or 0)


def _flip_code(matrix: np.ndarray, size: tuple[int, int]) -> int | None:
    """OpenCV's code of a mirror image, which needs no warp; None: another move."""
    width, height = size
    for code, (x, y) in ((1, (-1, 1)), (0, (1, -1)), (-1, (-1, -1))):
        right, below = (width - 1) * (x < 0), (height - 1) * (y < 0)
        if np.array_equal(matrix, [[x, 0, right], [0, y, below], [0, 0, 1]]):
            return code
    return None


def elastic_shift(
    share: float, size: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """A smooth random shift of up to a share of the shorter side: (H, W, 2)."""
    shorter = min(size)
    cells = [max(2, round(_ELASTIC_CELLS * side / shorter)) for side in size]
    coarse = rng.uniform(-1, 1, (*cells, 2)).astype(np.float32) * share * shorter
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


def _linear(
    name: str, value: float, size: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """The move about the centre: float64 (2, 2)."""
    if name in ("hflip", "vflip"):
        return np.diag([-1.0, 1.0] if name == "hflip" else [1.0, -1.0])
    if name == "rot90":
        turns = int(rng.integers(1, 4))
        # A picture that is turned on its side still fills its frame.
        zoom = max(size) / min(size) if turns % 2 else 1.0
        cosine, sine = [(1, 0), (0, 1), (-1, 0), (0, -1)][turns]
        return zoom * np.array([[cosine, -sine], [sine, cosine]])
    if name in ("scale", "stretch"):
        return np.diag([value, value if name == "scale" else 1.0])
    angle = math.radians(value)
    if name == "rotate":
        return np.array(
            [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        )
    across = np.array([[1.0, math.tan(angle)], [0.0, 1.0]])  # shear
    return across if rng.random() < 0.5 else across.T


def _about(x: float, y: float, matrix: np.ndarray) -> np.ndarray:
    """A matrix whose origin is at (x, y)."""
    there = np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])
    back = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1.0]])
    return there @ matrix @ back


def _places(matrix: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """The place in the image that each pixel shows: float32 (H, W, 2)."""
    height, width = shift.shape[:2]
    places = cv2.perspectiveTransform(_grid(height, width), np.linalg.inv(matrix))
    return cv2.add(places, shift)


@lru_cache(4)
def _grid(height: int, width: int) -> np.ndarray:
    """The place of each pixel itself, which most pairs of a dataset share."""
    rows, columns = np.indices((height, width), np.float32)
    grid = np.dstack([columns, rows])
    grid.flags.writeable = False
    return grid
