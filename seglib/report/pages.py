"""HTML pages: one file each, static, with everything inside, for light and dark.

The templates escape all text.
"""

import base64
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
import jinja2
import numpy as np

from seglib.data.image_io import jpeg_uri
from seglib.drawing import Album
from seglib.errors import SegError

NO_VALUE = "–"
MAX_PAGE_BYTES = 1_000_000  # what a pipeline's user interface shows without trouble
PICTURE_BYTES = 700_000  # of them for pictures
# Tried in this order until all pictures fit: (width in pixels, JPEG quality).
_QUALITIES = ((1280, 84), (1280, 74), (1024, 74), (840, 70), (640, 64), (480, 58))


def picture_page(
    album: Album,
    *,
    title: str,
    alt: str,
    subtitle: str = "",
    words: Sequence[str] = (),
    text: str = "",
) -> str:
    """A page of an album, as one self-contained HTML text.

    Args:
        alt: what each picture shows, after its name.
        subtitle: told below the title.
        words: sentences above the pictures.
        text: such as settings, shown as it is below the pictures.
    """
    tiles = [tile for listed in album.rows.values() for _, tile in listed]
    sources = inline_pictures(tiles)
    rows, place = [], 0
    for row, listed in album.rows.items():
        pictures = [
            {"source": source, "name": name, "alt": f"{row} {name}: {alt}".lstrip()}
            for (name, _), source in zip(listed, sources[place:], strict=False)
        ]
        place += len(listed)
        rows.append({"name": row, "pictures": pictures})
    left_out = len(tiles) - len(sources)
    return render(
        "pictures.html",
        title=title,
        subtitle=subtitle,
        classes=[
            {"name": e.name, "colour": e.colour, "share": percent(e.share)}
            for e in album.entries()
        ],
        rows=[row for row in rows if row["pictures"]],
        left_out=left_out,
        columns=album.columns,
        words=words,
        text=text,
    )


def render(template: str, **context: Any) -> str:
    """Fill a template of this package.

    Raises:
        SegError: the page would be larger than what viewers show.
    """
    html = _environment().get_template(template).render(context)
    size_bytes = len(html.encode(errors="backslashreplace"))
    if size_bytes > MAX_PAGE_BYTES:
        raise SegError(
            f"The page `{context.get('title', template)}` is too large. Expected at "
            f"most {MAX_PAGE_BYTES:,} bytes. Received: {size_bytes:,}. Put fewer or "
            "smaller pictures on it."
        )
    return html


def percent(share: float) -> str:
    """A share as text; NaN is no value."""
    if np.isnan(share):
        return NO_VALUE
    return f"{share:.1%}" if share >= 0.0005 or share == 0 else "< 0.1%"


def data_uri(content: bytes, kind: str) -> str:
    """A picture's file in a URI; its kind is "png" or "jpeg"."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def inline_pictures(
    pictures: Sequence[np.ndarray], *, budget_bytes: int = PICTURE_BYTES
) -> list[str]:
    """Data URIs of JPEGs in the best quality that fits the budget.

    Returns:
        As many URIs as fit, in order; the last ones are left out if there are many.
    """
    sources: list[str] = []
    for max_width, quality in _QUALITIES:
        sources = [jpeg_uri(_shrunk(p, max_width), quality=quality) for p in pictures]
        if sum(map(len, sources)) <= budget_bytes:
            return sources
    fitting, used = [], 0
    for source in sources:
        used += len(source)
        if used > budget_bytes:
            break
        fitting.append(source)
    return fitting


def _shrunk(picture: np.ndarray, max_width: int) -> np.ndarray:
    height, width = picture.shape[:2]
    if width > max_width:
        size = (max_width, max(1, round(height * max_width / width)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return picture


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("seglib.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
