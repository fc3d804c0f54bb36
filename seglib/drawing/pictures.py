"""Pictures of masks: colours, overlays, comparisons, legends.

A palette is one (red, green, blue) a class id. Ignored pixels are hatched in two greys,
and ids that are no class in black and magenta: no class looks like that.
"""

import math
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import cv2
import numpy as np

from seglib.arguments import checked
from seglib.drawing.layout import (
    BACKGROUND,
    MAX_PANEL,
    beside,
    draw_text,
    labelled,
    panel_size,
    resize,
    resize_ids,
    stacked,
    text_width,
)
from seglib.drawing.palette import default_colors
from seglib.errors import UsageError

Colour = tuple[int, int, int] | str  # or the name of a hatching
Palette = Sequence[tuple[int, int, int]]

IGNORED, NO_CLASS = "ignored", "no class"
_HATCHINGS = {
    IGNORED: ((104, 106, 110), (128, 130, 134)),  # neutral greys
    NO_CLASS: ((0, 0, 0), (255, 0, 255)),
}
_HATCH_PERIOD = 12  # pixels
_DIM = 0.3  # brightness of the correct pixels of an error map
_LEGEND_ROW = 26  # pixels
_LEGEND_MARGIN = 10  # pixels
_LEGEND_NAME = 28  # characters


def colorize(
    mask: np.ndarray, palette: Palette = (), *, ignore_index: int | None = None
) -> np.ndarray:
    """Paint a mask in the colours of its classes.

    Args:
        mask: int array (H, W) of class ids.
        palette: by class id. Default: `class_color` of each.
        ignore_index: id of the pixels to be hatched.

    Returns:
        uint8 array (H, W, 3), RGB.

    Raises:
        UsageError: an array of another shape or dtype.
    """
    mask, palette = _checked(mask), palette or default_colors()
    colours = np.asarray(palette, np.uint8)
    known = _has_colour(mask, palette, ignore_index)
    painted = colours[np.where(known, mask, 0)]
    for kind, pixels in _hatched(mask, known, ignore_index).items():
        painted[pixels] = _hatching(mask.shape, kind)[pixels]
    return painted


def overlay(
    image: np.ndarray,
    mask: np.ndarray,
    palette: Palette = (),
    *,
    alpha: float = 0.5,
    ignore_index: int | None = None,
) -> np.ndarray:
    """Lay a mask's colours over its image.

    Args:
        image: uint8 array (H, W, 1 or 3 or 4).
        mask: int array (H, W) of class ids.
        palette: by class id. Default: `class_color` of each.
        alpha: 0 shows the image alone, 1 the mask alone. Ignored pixels always show
            the image, dimmed and hatched; ids that are no class hide it.
        ignore_index: id of the pixels to be hatched.

    Returns:
        uint8 array (H, W, 3), RGB.

    Raises:
        UsageError: arrays of other shapes or dtypes.
    """
    mask, palette = _checked(mask, image), palette or default_colors()
    image = _to_rgb(image)
    known = _has_colour(mask, palette, ignore_index)
    colours = colorize(mask, palette, ignore_index=ignore_index)
    mixed = cv2.addWeighted(image, 1 - alpha, colours, alpha, 0)
    hatched = _hatched(mask, known, ignore_index)
    ignored, wrong = hatched[IGNORED], hatched[NO_CLASS]
    mixed[ignored] = cv2.addWeighted(_grey(image), 0.4, colours, 0.3, 0)[ignored]
    mixed[wrong] = colours[wrong]
    return mixed


def error_map(
    image: np.ndarray,
    mask: np.ndarray,
    prediction: np.ndarray,
    palette: Palette = (),
    *,
    ignore_index: int | None = None,
) -> np.ndarray:
    """Wrong pixels in the colour of the truth, right ones dim, ignored ones hatched.

    Args:
        image: uint8 array (H, W, 1 or 3 or 4).
        mask: int array (H, W) of class ids.
        prediction: int array (H, W) of class ids.
        palette: by class id. Default: `class_color` of each.
        ignore_index: id of the pixels of the mask that are hatched.

    Returns:
        uint8 array (H, W, 3), RGB.

    Raises:
        UsageError: arrays of other shapes or dtypes.
    """
    mask, palette = _checked(mask, image), palette or default_colors()
    prediction = _of_shape(_checked(prediction, name="prediction"), mask)
    truth = colorize(mask, palette, ignore_index=ignore_index)
    known = _has_colour(mask, palette, ignore_index)
    right = known & (mask == prediction)
    truth[right] = cv2.convertScaleAbs(_grey(_to_rgb(image)), alpha=_DIM)[right]
    return truth


def comparison(
    image: np.ndarray,
    mask: np.ndarray,
    prediction: np.ndarray,
    palette: Palette = (),
    *,
    ignore_index: int | None = None,
) -> np.ndarray:
    """Image, truth, prediction and errors, side by side under thin labels.

    Args:
        image: uint8 array (H, W, 1 or 3 or 4).
        mask: int array (H, W) of class ids.
        prediction: int array (H, W) of class ids.
        palette: by class id. Default: `class_color` of each.
        ignore_index: id of the pixels of the mask that are hatched.

    Returns:
        uint8 array (h, w, 3), RGB. Panels are between 160 and 640 pixels wide.

    Raises:
        UsageError: arrays of other shapes or dtypes.
    """
    mask, palette = _checked(mask, image), palette or default_colors()
    prediction = _of_shape(_checked(prediction, name="prediction"), mask)
    size = panel_size(mask.shape)
    image = resize(_to_rgb(image), size)
    mask, prediction = resize_ids(mask, size), resize_ids(prediction, size)
    errors = error_map(image, mask, prediction, palette, ignore_index=ignore_index)
    return _panels(image, mask, prediction, palette, ignore_index, errors=errors)


def contradiction(
    image: np.ndarray,
    mask: np.ndarray,
    prediction: np.ndarray,
    expected: np.ndarray,
    palette: Palette,
    *,
    ignore_index: int | None = None,
) -> np.ndarray:
    """Image, mask, prediction, and the pixels for which a model is sure of another id.

    Args:
        expected: int array (H, W), the ids that the model is sure of; the mask's own
            where it is not.

    Returns:
        As `comparison`.
    """
    size = panel_size(mask.shape)
    image = resize(_to_rgb(image), size)
    mask, prediction, expected = (
        resize_ids(ids, size) for ids in (mask, prediction, expected)
    )
    errors = error_map(image, expected, mask, palette)
    return _panels(image, mask, prediction, palette, ignore_index, suspicious=errors)


def image_and_overlay(
    image: np.ndarray,
    mask: np.ndarray,
    palette: Palette = (),
    *,
    ignore_index: int | None = None,
    max_width: int = MAX_PANEL,
    layout: str = "side-by-side",
) -> np.ndarray:
    """An image and its overlay, at a size to be looked at.

    Args:
        image: uint8 array (H, W, 1 or 3 or 4).
        mask: int array (H, W) of class ids.
        palette: by class id. Default: `class_color` of each.
        ignore_index: id of the pixels to be hatched.
        max_width: of either, in pixels.
        layout: "side-by-side"; "stacked": the image above; "overlay": without it.

    Returns:
        uint8 array (h, w, 3), RGB.
    """
    mask = _checked(mask, image)
    size = panel_size(mask.shape, max_width=max_width)
    image, mask = resize(_to_rgb(image), size), resize_ids(mask, size)
    painted = overlay(image, mask, palette, alpha=0.6, ignore_index=ignore_index)
    if layout == "overlay":
        return painted
    arrange = stacked if layout == "stacked" else beside
    return arrange([image, painted])


@checked
def legend(
    names: Sequence[str],
    colours: Sequence[Colour] = (),
    *,
    shares: Sequence[float] = (),
    width: int = 0,
) -> np.ndarray:
    """A picture of the classes' colours and names.

    Args:
        names: of each line, such as a dataset's `class_names`.
        colours: of each line, such as a dataset's `palette`; one may be `IGNORED` or
            `NO_CLASS`. Default: `class_color` of each id.
        shares: of the pixels, 0 … 1, to be told behind each name.
        width: in pixels; columns are added as far as they fit, at least one. Default:
            one column.

    Returns:
        uint8 array (h, w, 3), RGB.

    Raises:
        UsageError: another number of colours than of names.
    """
    colours = colours or default_colors()[: len(names)]
    if isinstance(names, str) or len(colours) != len(names):
        raise UsageError(
            "`names` and `colours` must be lists, one of each a line. Received: "
            f"names={names if isinstance(names, str) else len(names)}, "
            f"{len(colours)} colours."
        )
    told = [f"{share:.1%}" if share >= 0.0005 else "< 0.1%" for share in shares]
    named = zip_longest(map(_shorten, names), told, fillvalue="")
    lines = [" ".join(line) for line in named]
    column_width = 28 + max((text_width(line, 13) for line in lines), default=0) + 16
    columns = max(1, (width - _LEGEND_MARGIN) // column_width)
    rows = max(1, math.ceil(len(lines) / columns))
    columns = max(1, math.ceil(len(lines) / rows))
    canvas = np.full(
        (rows * _LEGEND_ROW, columns * column_width + _LEGEND_MARGIN, 3),
        BACKGROUND,
        np.uint8,
    )
    for index, (line, colour) in enumerate(zip(lines, colours, strict=True)):
        left = index // rows * column_width + _LEGEND_MARGIN
        top = index % rows * _LEGEND_ROW
        canvas[top + 6 : top + 20, left : left + 20] = (
            _hatching((14, 20), colour) if isinstance(colour, str) else colour
        )
        draw_text(canvas, line, (left + 28, top + _LEGEND_ROW // 2), size=13)
    return canvas


def _panels(
    image: np.ndarray,
    mask: np.ndarray,
    prediction: np.ndarray,
    palette: Palette,
    ignore_index: int | None,
    **last: np.ndarray,
) -> np.ndarray:
    panels = {
        "image": image,
        "mask": colorize(mask, palette, ignore_index=ignore_index),
        "prediction": colorize(prediction, palette),
        **last,
    }
    return beside([labelled(panel, text) for text, panel in panels.items()])


def _has_colour(
    mask: np.ndarray, palette: Palette, ignore_index: int | None
) -> np.ndarray:
    known = (mask >= 0) & (mask < len(palette))
    return known if ignore_index is None else known & (mask != ignore_index)


def _hatched(
    mask: np.ndarray, known: np.ndarray, ignore_index: int | None
) -> dict[str, np.ndarray]:
    """The pixels of each hatching, bool (H, W)."""
    ignored = np.zeros_like(known) if ignore_index is None else mask == ignore_index
    return {IGNORED: ignored, NO_CLASS: ~known & ~ignored}


def _hatching(shape: tuple[int, ...], kind: str) -> np.ndarray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    stripe = (rows + columns) % _HATCH_PERIOD < _HATCH_PERIOD // 2
    return np.asarray(_HATCHINGS[kind], np.uint8)[stripe.astype(np.intp)]


def _checked(mask: np.ndarray, *images: Any, name: str = "mask") -> np.ndarray:
    """The mask as an array; the images must be of its size."""
    received = mask
    mask = np.asarray(mask)
    if mask.ndim != 2 or mask.dtype.kind not in "iu":
        raise UsageError(
            f"`{name}` must be an array (height, width) of class ids. Received: "
            f"{_described(received)}."
        )
    for image in images:
        is_image = isinstance(image, np.ndarray) and image.dtype == np.uint8
        if not (is_image and image.ndim in (2, 3) and image.shape[:2] == mask.shape):
            raise UsageError(
                f"`image` must be an array uint8 of the mask's height and width, "
                f"{mask.shape}. Received: {_described(image)}."
            )
    return mask


def _described(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"shape {value.shape}, {value.dtype}"
    return f"type {type(value).__name__}"


def _of_shape(prediction: np.ndarray, mask: np.ndarray) -> np.ndarray:
    if prediction.shape != mask.shape:
        raise UsageError(
            f"`prediction` must be of the mask's height and width, {mask.shape}. "
            f"Received: shape {prediction.shape}."
        )
    return prediction


def _to_rgb(image: np.ndarray) -> np.ndarray:
    if image.ndim == 2 or image.shape[2] == 1:
        return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_GRAY2RGB)
    return np.ascontiguousarray(image[..., :3])


def _grey(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def _shorten(name: str) -> str:
    return name if len(name) <= _LEGEND_NAME else name[: _LEGEND_NAME - 1] + "…"
