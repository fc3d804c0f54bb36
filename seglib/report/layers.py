"""An image, its truth, a prediction and its errors as pictures that lie one on another.

The viewer of the evaluation page shows one of them, or two beside each other.
"""

import io
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from PIL import Image

from seglib.data.image_io import decode_image, encode_jpeg, encode_png
from seglib.drawing.layout import resize, resize_ids
from seglib.drawing.pictures import Palette, colorize
from seglib.report.pages import data_uri

Layers = Mapping[str, bytes]  # files by the names below
SUFFIXES = {
    "image": ".jpg",
    "truth": ".truth.png",
    "prediction": ".prediction.png",
    "errors": ".errors.png",
}
MAX_WIDTH = 2048  # pixels, of the pictures beside a page
_QUALITY = 88
_VEIL = 190  # of 255: how much of an image its ignored pixels hide among the errors
# Tried in this order until all pictures fit: (width in pixels, JPEG quality).
_QUALITIES = ((640, 80), (480, 76), (400, 72), (320, 66), (240, 58))
_MOST_COLOURS = 256  # of a PNG with a palette


def layers(
    image: np.ndarray,
    mask: np.ndarray,
    prediction: np.ndarray,
    palette: Palette,
    *,
    ignore_index: int | None = None,
) -> dict[str, bytes]:
    """Pictures of one size: a JPEG of the image, PNGs of the others.

    Among the errors, wrong pixels have the colour of the class that they truly are,
    right ones are transparent and ignored ones hatched.

    Args:
        image: uint8 array (H, W, 1 or 3 or 4).
        mask: int array (H, W) of class ids.
        prediction: int array (H, W) of class ids.

    Returns:
        By the names of `SUFFIXES`.
    """
    height, width = mask.shape
    if width > MAX_WIDTH:
        size = (max(1, round(height * MAX_WIDTH / width)), MAX_WIDTH)
        image = resize(image, size)
        mask, prediction = resize_ids(mask, size), resize_ids(prediction, size)
    if image.ndim == 2 or image.shape[2] == 1:
        image = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_GRAY2RGB)
    truth = colorize(mask, palette, ignore_index=ignore_index)
    alpha = np.where(mask == prediction, 0, 255).astype(np.uint8)
    if ignore_index is not None:
        alpha[mask == ignore_index] = _VEIL
    return {
        "image": encode_jpeg(image[..., :3], quality=_QUALITY),
        "truth": _flat_png(truth),
        "prediction": _flat_png(colorize(prediction, palette)),
        "errors": _flat_png(np.dstack([truth, alpha])),
    }


def inline_layers(
    pictures: Sequence[Layers], *, budget_bytes: int
) -> list[dict[str, str]]:
    """Data URIs of layers, in the best quality that fits the budget.

    Returns:
        As many as fit, in order; the last ones are left out if there are many.
    """
    found: list[dict[str, str]] = []
    for width, quality in _QUALITIES:
        found = [_inlined(each, width, quality) for each in pictures]
        if sum(map(_size, found)) <= budget_bytes:
            return found
    fitting, used = [], 0
    for each in found:
        used += _size(each)
        if used > budget_bytes:
            break
        fitting.append(each)
    return fitting


def _size(sources: Mapping[str, str]) -> int:
    return sum(map(len, sources.values()))


def _inlined(given: Layers, max_width: int, quality: int) -> dict[str, str]:
    found = {}
    for name, content in given.items():
        kind = "jpeg" if name == "image" else "png"
        small = _smaller(content, max_width, quality=quality if kind == "jpeg" else 0)
        found[name] = data_uri(small, kind)
    return found


def _smaller(content: bytes, max_width: int, *, quality: int) -> bytes:
    """A picture at most so wide; a PNG's colours are never mixed (quality 0)."""
    if quality:
        image = decode_image(content)
        height, width = image.shape[:2]
        factor = min(1.0, max_width / width)
        size = (max(1, round(height * factor)), max(1, round(width * factor)))
        return encode_jpeg(resize(image, size), quality=quality)
    with Image.open(io.BytesIO(content)) as opened:
        if opened.width <= max_width:
            return content
        size = (max_width, max(1, round(opened.height * max_width / opened.width)))
        reduced = opened.resize(size, Image.Resampling.NEAREST)
        text = io.BytesIO()
        reduced.save(text, "PNG", optimize=True)
        return text.getvalue()


def _flat_png(picture: np.ndarray) -> bytes:
    """A PNG of a picture (H, W, 3 or 4) of few colours, with a palette if they fit."""
    parts = picture.shape[2]
    packed = np.zeros(picture.shape[:2], np.uint32)
    for place in range(parts):
        packed |= picture[..., place].astype(np.uint32) << np.uint32(8 * place)
    colours, ids = np.unique(packed, return_inverse=True)
    if len(colours) > _MOST_COLOURS:
        return encode_png(picture, compression=6)
    palette = colours.astype("<u4").view(np.uint8).reshape(-1, 4)
    flat = Image.fromarray(ids.reshape(packed.shape).astype(np.uint8), "P")
    flat.putpalette(palette[:, :3].tobytes())
    options = {"transparency": palette[:, 3].tobytes()} if parts == 4 else {}
    content = io.BytesIO()
    flat.save(content, "PNG", optimize=True, **options)
    return content.getvalue()
