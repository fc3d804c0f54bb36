"""labelme's shapes, drawn as by its own `shape_to_mask`, which calls Pillow."""

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from seglib.data.conversion.foreign import Remark, Size
from seglib.data.conversion.shapes import read_points
from seglib.data.image_io import decode_mask
from seglib.errors import SegError

_LINE_WIDTH, _POINT_RADIUS = 10, 5  # pixels, as labelme draws lines and points


def cover(
    shape: Mapping[str, Any], size: Size, remarks: list[Remark], where: str
) -> np.ndarray:
    """Where a shape is, bool (H, W), as labelme's `shape_to_mask` draws it."""
    kind = shape.get("shape_type")
    kind = "polygon" if kind is None else kind
    if not isinstance(kind, str) or kind not in _POINTS:
        raise SegError(f"a shape of the unknown type {kind!r}")
    points = read_points(shape.get("points"), kind, size, remarks, where)
    least, most = _POINTS[kind]
    if not least <= len(points) <= most:
        raise SegError(f"a {kind} with fewer or more points than it can have")
    if kind == "mask":
        return _paste(shape.get("mask"), points, size)
    picture = Image.new("1", size[::-1])
    _DRAWERS[kind](ImageDraw.Draw(picture), [(x, y) for x, y in points.tolist()])
    return np.asarray(picture)


def _paste(encoded: Any, points: np.ndarray, size: Size) -> np.ndarray:
    try:
        mask = decode_mask(base64.b64decode(encoded), name="the mask of a shape") > 0
    except (binascii.Error, TypeError, ValueError) as error:
        raise SegError("a mask that is no PNG in base64") from error
    (left, top), (right, bottom) = points.astype(int).tolist()
    if mask.shape != (bottom - top + 1, right - left + 1):
        raise SegError("a mask that is larger or smaller than its two points say")
    covered = np.zeros(size, bool)
    inner = mask[max(0, -top) :, max(0, -left) :]
    top, left = max(0, top), max(0, left)
    inner = inner[: max(0, size[0] - top), : max(0, size[1] - left)]
    covered[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return covered


Points = list[tuple[float, float]]


def _polygon(draw: ImageDraw.ImageDraw, points: Points) -> None:
    draw.polygon(points, fill=1, outline=1)


def _rectangle(draw: ImageDraw.ImageDraw, points: Points) -> None:
    (left, right), (top, bottom) = map(sorted, zip(*points, strict=True))
    draw.rectangle((left, top, right, bottom), fill=1, outline=1)


def _circle(draw: ImageDraw.ImageDraw, points: Points) -> None:
    _disk(draw, points[0], math.dist(*points))


def _point(draw: ImageDraw.ImageDraw, points: Points) -> None:
    _disk(draw, points[0], _POINT_RADIUS)


def _disk(draw: ImageDraw.ImageDraw, at: tuple[float, float], radius: float) -> None:
    x, y = at
    box = (x - radius, y - radius, x + radius, y + radius)
    draw.ellipse(box, fill=1, outline=1)


def _line(draw: ImageDraw.ImageDraw, points: Points) -> None:
    draw.line(points, fill=1, width=_LINE_WIDTH)


_DRAWERS: Mapping[str, Callable[[ImageDraw.ImageDraw, Points], None]] = {
    "polygon": _polygon,
    "oriented_rectangle": _polygon,
    "rectangle": _rectangle,
    "circle": _circle,
    "point": _point,
    "line": _line,
    "linestrip": _line,
}
_MANY = 1 << 30
_POINTS = {  # least and most
    "polygon": (3, _MANY),
    "oriented_rectangle": (4, 4),
    "rectangle": (2, 2),
    "circle": (2, 2),
    "point": (1, 1),
    "line": (2, 2),
    "linestrip": (2, _MANY),
    "mask": (2, 2),
}
