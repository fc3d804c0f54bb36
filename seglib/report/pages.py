"""HTML pages: one file each, static, with everything inside, for light and dark.

Text is escaped by the templates; only `Markup` goes in as it is.
"""

import base64
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import cv2
import jinja2
import numpy as np
from markupsafe import Markup

from seglib.data.image_io import decode_image, encode_jpeg
from seglib.errors import SegError

MAX_PAGE_BYTES = 1_000_000  # what a pipeline's user interface shows without trouble
PICTURE_BYTES = 700_000  # of them for pictures
# Tried in this order until all pictures fit: (width in pixels, JPEG quality).
_QUALITIES = ((1280, 84), (1280, 74), (1024, 74), (840, 70), (640, 64), (480, 58))


def page(title: str, *body: str | Markup, subtitle: str = "") -> str:
    """A page with a title and pieces of body, one under the other.

    Args:
        body: `Markup`, such as `figure` and `table` give, goes in as it is; a plain
            text becomes a paragraph.
    """
    pieces = [
        piece if isinstance(piece, Markup) else Markup("<p>{}</p>").format(piece)
        for piece in body
    ]
    return render("base.html", title=title, subtitle=subtitle, body=pieces)


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


def figure(
    picture: np.ndarray | bytes, *, alt: str, caption: str = "", max_width: int = 1280
) -> Markup:
    """A picture for `page`, inside the page as a JPEG.

    Args:
        picture: uint8 array (H, W, 3), or the bytes of an image file.
        alt: what it shows, for those who cannot see it.
        max_width: in pixels; wider pictures are reduced.
    """
    source = _data_uri(_shrunk(_pixels(picture), max_width, quality=84))
    return _part("figure", source, alt, caption, natural=True)


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> Markup:
    """A table for `page`; columns that hold numbers only are set to the right."""
    numeric = [
        index
        for index in range(len(headers))
        if rows and all(isinstance(row[index], int | float) for row in rows)
    ]
    return _part("table", headers, rows, numeric)


def heading(text: str) -> Markup:
    """A heading for `page`."""
    return Markup("<h2>{}</h2>").format(text)


def class_legend(
    class_names: Sequence[str],
    palette: Sequence[tuple[int, int, int]],
    *,
    ignored: bool = False,
) -> Markup:
    """The classes' colours and names, for `page`."""
    items = [
        {"name": name, "colour": colour}
        for name, colour in zip(class_names, palette, strict=True)
    ]
    return _part("legend", items, ignored=ignored)


def picture_grid(pictures: Sequence[Mapping[str, str]], *, columns: int = 2) -> Markup:
    """Pictures in one or two columns, for `page`: {"source", "name", "alt"} each."""
    return _part("grid", pictures, columns)


def inline_pictures(
    pictures: Sequence[np.ndarray | bytes], *, budget_bytes: int = PICTURE_BYTES
) -> list[str]:
    """Data URIs of JPEGs in the best quality that fits the budget.

    Returns:
        As many URIs as fit, in order; the last ones are left out if there are many.
    """
    decoded = [_pixels(picture) for picture in pictures]
    sources: list[str] = []
    for max_width, quality in _QUALITIES:
        sources = [_data_uri(_shrunk(p, max_width, quality=quality)) for p in decoded]
        if sum(map(len, sources)) <= budget_bytes:
            return sources
    fitting, used = [], 0
    for source in sources:
        used += len(source)
        if used > budget_bytes:
            break
        fitting.append(source)
    return fitting


def _part(name: str, *args: Any, **kwargs: Any) -> Markup:
    module = _environment().get_template("parts.html").module
    return Markup(getattr(module, name)(*args, **kwargs))


def _pixels(picture: np.ndarray | bytes) -> np.ndarray:
    return decode_image(picture) if isinstance(picture, bytes) else picture


def _shrunk(picture: np.ndarray, max_width: int, *, quality: int) -> bytes:
    height, width = picture.shape[:2]
    if width > max_width:
        size = (max_width, max(1, round(height * max_width / width)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return encode_jpeg(picture, quality=quality)


def _data_uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("seglib.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
