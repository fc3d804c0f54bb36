"""Sizes and layouts of pictures: panels, rows, sheets, and text in them."""

import math
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from seglib.arguments import checked
from seglib.errors import UsageError
from seglib.plain_text import visible_line

BACKGROUND, _TEXT = (24, 26, 31), (222, 224, 228)
MIN_PANEL, MAX_PANEL = 160, 640  # pixels wide; others are enlarged or reduced
_GAP, _SHEET_GAP = 4, 14  # pixels between panels, and between a sheet's tiles


@checked
def contact_sheet(
    tiles: Sequence[tuple[str, np.ndarray]],
    *,
    columns: int = 2,
    footer: np.ndarray | None = None,
) -> np.ndarray:
    """Labelled pictures of any sizes in rows, with a picture such as a legend below.

    Args:
        tiles: (caption, uint8 array (H, W, 3)) of each.
        columns: tiles side by side.
        footer: uint8 array (h, w, 3).

    Returns:
        uint8 array (h, w, 3), RGB.

    Raises:
        UsageError: no tile, or what is no picture.

    >>> contact_sheet([("a", np.zeros((60, 90, 3), np.uint8))]).shape
    (112, 118, 3)
    """
    for text, picture in tiles:
        if getattr(picture, "dtype", None) != np.uint8 or picture.shape[2:] != (3,):
            raise UsageError(
                "`tiles` must be pairs of a caption and an array uint8 (height, width, "
                f"3). Received for {text!r}: type {type(picture).__name__}, shape "
                f"{getattr(picture, 'shape', None)}."
            )
    if not tiles:
        raise UsageError("`tiles` must be one or more. Received: none.")
    pictures = [labelled(picture, text, size=14) for text, picture in tiles]
    rows = [
        beside(pictures[start : start + columns], gap=_SHEET_GAP)
        for start in range(0, len(pictures), columns)
    ]
    sheet = stacked([*rows, footer] if footer is not None else rows, gap=_SHEET_GAP)
    gap = _SHEET_GAP
    return pad(sheet, above=gap, below=gap, left=gap, right=gap)


def panel_size(
    shape: tuple[int, ...], *, max_width: int = MAX_PANEL
) -> tuple[int, int]:
    """The size (height, width) at which a picture of that shape is shown."""
    height, width = shape[:2]
    if width < MIN_PANEL:
        factor = math.ceil(MIN_PANEL / width)  # whole: pixels stay square
        return height * factor, width * factor
    if width > max_width:
        return max(1, round(height * max_width / width)), max_width
    return height, width


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an image uint8 (H, W, C) to (height, width), smoothly."""
    shrinks = size[0] < image.shape[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST
    return cv2.resize(image, size[::-1], interpolation=how)


def resize_ids(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a mask (H, W) to (height, width); ids are never mixed."""
    if mask.dtype not in (np.uint8, np.uint16):
        mask = mask.astype(np.int32)  # the widest type that OpenCV resizes
    return cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def labelled(picture: np.ndarray, text: str, *, size: int = 0) -> np.ndarray:
    """The picture under a strip with a text of `size` pixels, smaller if needed."""
    # Wide panels are shown reduced, four in a row; their labels must survive that.
    size = size or min(max(picture.shape[1] // 26, 11), 22)
    strip = np.full((size + 10, picture.shape[1], 3), BACKGROUND, np.uint8)
    draw_text(strip, text, (4, strip.shape[0] // 2), size=size)
    return np.vstack([strip, picture])


def beside(pictures: Sequence[np.ndarray], *, gap: int = _GAP) -> np.ndarray:
    """Pictures of any sizes in one row, aligned at their tops."""
    height = max(picture.shape[0] for picture in pictures)
    *padded, last = (
        pad(picture, below=height - picture.shape[0]) for picture in pictures
    )
    return np.hstack([*(pad(picture, right=gap) for picture in padded), last])


def stacked(pictures: Sequence[np.ndarray], *, gap: int = _GAP) -> np.ndarray:
    """Pictures of any sizes in one column, aligned at their left edges."""
    width = max(picture.shape[1] for picture in pictures)
    *padded, last = (
        pad(picture, right=width - picture.shape[1]) for picture in pictures
    )
    return np.vstack([*(pad(picture, below=gap) for picture in padded), last])


def pad(
    picture: np.ndarray,
    *,
    above: int = 0,
    below: int = 0,
    left: int = 0,
    right: int = 0,
) -> np.ndarray:
    """The picture with background around it; all in pixels."""
    return cv2.copyMakeBorder(
        picture, above, below, left, right, cv2.BORDER_CONSTANT, value=BACKGROUND
    )


def text_width(text: str, size: int) -> int:
    """Width in pixels of a text at a font size in pixels."""
    return int(np.ceil(_font(size).getlength(visible_line(text))))


def paragraph(text: str, width: int, *, size: int = 13) -> np.ndarray:
    """Lines of text, broken between words, as a picture uint8 (h, width, 3)."""
    lines: list[str] = []
    for given in text.splitlines():
        line = ""
        for word in given.split(" "):
            longer = f"{line} {word}".strip()
            if line and text_width(longer, size) > width - 8:
                lines.append(line)
                longer = word
            line = longer
        lines.append(line)
    height = size + 7
    canvas = np.full((height * len(lines), width, 3), BACKGROUND, np.uint8)
    for index, line in enumerate(lines):
        draw_text(canvas, line, (4, index * height + height // 2), size=size)
    return canvas


def draw_text(
    picture: np.ndarray, text: str, place: tuple[int, int], *, size: int
) -> None:
    """Write into a picture uint8 (H, W, 3), in place.

    Args:
        place: (x, y) of the left end, on the middle of the line.
    """
    drawn = Image.fromarray(picture)
    # DejaVu has no colours: one line, cut at the picture's edge.
    line = visible_line(text)
    ImageDraw.Draw(drawn).text(place, line, fill=_TEXT, font=_font(size), anchor="lm")
    picture[:] = np.asarray(drawn)


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    # matplotlib brings the font along. It is found without importing matplotlib, which
    # takes longer than drawing.
    package = find_spec("matplotlib")
    folders = package.submodule_search_locations if package else None
    path = Path(folders[0]) / "mpl-data/fonts/ttf/DejaVuSans.ttf" if folders else Path()
    return (
        ImageFont.truetype(path, size)
        if path.is_file()
        else ImageFont.load_default(size)
    )
