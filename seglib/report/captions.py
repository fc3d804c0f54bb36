"""Text in pictures, in any of the scripts that DejaVu Sans has."""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from seglib.plain_text import visible_line

_COLOUR = (222, 224, 228)


def text_width(text: str, size: int) -> int:
    """Width in pixels of a text at a font size in pixels."""
    return int(np.ceil(_font(size).getlength(visible_line(text))))


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
    ImageDraw.Draw(drawn).text(place, line, fill=_COLOUR, font=_font(size), anchor="lm")
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
