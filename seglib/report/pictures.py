"""Pictures of masks: colours, overlays, comparisons, legends.

A palette is one (red, green, blue) a class id. Ignored pixels, and ids that have no
colour, are hatched in two greys: no class looks like that.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from seglib.report.layout import (
    BACKGROUND,
    MAX_PANEL,
    beside,
    draw_text,
    labelled,
    pad,
    panel_size,
    resize,
    resize_ids,
    text_width,
)

Palette = Sequence[tuple[int, int, int]]

_HATCH = ((104, 106, 110), (128, 130, 134))  # neutral greys
_HATCH_PERIOD = 12  # pixels
_DIM = 0.3  # brightness of the correct pixels of an error map
_LEGEND_ROW = 26  # pixels
_LEGEND_MARGIN = 10  # pixels
_LEGEND_NAME = 28  # characters


def colorize(
    mask: np.ndarray, palette: Palette, *, ignore_index: int | None = None
) -> np.ndarray:
    """Paint a mask in the colours of its classes.

    Args:
        mask: int array (H, W) of class ids.

    Returns:
        uint8 array (H, W, 3), RGB.
    """
    colours = np.asarray(palette, np.uint8)
    known = _has_colour(mask, palette, ignore_index)
    painted = colours[np.where(known, mask, 0)]
    painted[~known] = _hatching(mask.shape)[~known]
    return painted


def overlay(
    image: np.ndarray,
    mask: np.ndarray,
    palette: Palette,
    *,
    alpha: float = 0.5,
    ignore_index: int | None = None,
) -> np.ndarray:
    """Lay a mask's colours over its image.

    Args:
        image: uint8 array (H, W, 1 or 3 or 4).
        mask: int array (H, W) of class ids.
        alpha: 0 shows the image alone, 1 the mask alone. Ignored pixels always show
            the image, dimmed.

    Returns:
        uint8 array (H, W, 3), RGB.
    """
    image = _to_rgb(image)
    known = _has_colour(mask, palette, ignore_index)
    colours = colorize(mask, palette, ignore_index=ignore_index)
    mixed = cv2.addWeighted(image, 1 - alpha, colours, alpha, 0)
    mixed[~known] = cv2.addWeighted(_grey(image), 0.4, colours, 0.3, 0)[~known]
    return mixed


def error_map(
    image: np.ndarray,
    mask: np.ndarray,
    prediction: np.ndarray,
    palette: Palette,
    *,
    ignore_index: int | None = None,
) -> np.ndarray:
    """Wrong pixels in the colour of the truth, right ones dim, ignored ones hatched.

    Returns:
        uint8 array (H, W, 3), RGB.
    """
    truth = colorize(mask, palette, ignore_index=ignore_index)
    known = _has_colour(mask, palette, ignore_index)
    right = known & (mask == prediction)
    truth[right] = cv2.convertScaleAbs(_grey(_to_rgb(image)), alpha=_DIM)[right]
    return truth


def comparison(
    image: np.ndarray,
    mask: np.ndarray,
    prediction: np.ndarray,
    palette: Palette,
    *,
    ignore_index: int | None = None,
) -> np.ndarray:
    """Image, truth, prediction and errors, side by side under thin labels.

    Args:
        image: uint8 array (H, W, 1 or 3 or 4).
        mask: int array (H, W) of class ids.
        prediction: int array (H, W) of class ids.

    Returns:
        uint8 array (h, w, 3), RGB. Panels are between 160 and 640 pixels wide.
    """
    size = panel_size(mask.shape)
    image = resize(_to_rgb(image), size)
    mask, prediction = resize_ids(mask, size), resize_ids(prediction, size)
    panels = {
        "image": image,
        "truth": colorize(mask, palette, ignore_index=ignore_index),
        "prediction": colorize(prediction, palette),
        "errors": error_map(
            image, mask, prediction, palette, ignore_index=ignore_index
        ),
    }
    return beside([labelled(panel, text) for text, panel in panels.items()])


def image_and_overlay(
    image: np.ndarray,
    mask: np.ndarray,
    palette: Palette,
    *,
    ignore_index: int | None = None,
    max_width: int = MAX_PANEL,
) -> np.ndarray:
    """An image beside its overlay, at a size to be looked at.

    Args:
        image: uint8 array (H, W, 1 or 3 or 4).
        mask: int array (H, W) of class ids.
        max_width: of either, in pixels.

    Returns:
        uint8 array (h, w, 3), RGB.
    """
    size = panel_size(mask.shape, max_width=max_width)
    image, mask = resize(_to_rgb(image), size), resize_ids(mask, size)
    painted = overlay(image, mask, palette, alpha=0.6, ignore_index=ignore_index)
    return beside([image, painted])


def legend(
    class_names: Sequence[str],
    palette: Palette,
    *,
    height: int | None = None,
    ignored: bool = False,
) -> np.ndarray:
    """A picture of the classes' colours and names.

    Args:
        height: of the picture in pixels; columns are added until all classes fit.
            Default: one column, as high as it needs.
        ignored: also explain the hatching of ignored pixels.

    Returns:
        uint8 array (h, w, 3), RGB.
    """
    names = [_shorten(name) for name in class_names]
    swatches = [np.full((14, 20, 3), colour, np.uint8) for colour in palette]
    if ignored:
        names.append("ignored")
        swatches.append(_hatching((14, 20)))
    rows = max(1, (height or _LEGEND_ROW * len(names)) // _LEGEND_ROW)
    columns = math.ceil(len(names) / rows)
    column_width = 28 + max((text_width(name, 13) for name in names), default=0) + 16
    canvas = np.full(
        (rows * _LEGEND_ROW, columns * column_width + _LEGEND_MARGIN, 3),
        BACKGROUND,
        np.uint8,
    )
    for index, (name, swatch) in enumerate(zip(names, swatches, strict=True)):
        left = index // rows * column_width + _LEGEND_MARGIN
        top = index % rows * _LEGEND_ROW
        canvas[top + 6 : top + 20, left : left + 20] = swatch
        draw_text(canvas, name, (left + 28, top + _LEGEND_ROW // 2), size=13)
    if height is None:
        return canvas
    return pad(canvas[:height], below=max(0, height - canvas.shape[0]))


def _has_colour(
    mask: np.ndarray, palette: Palette, ignore_index: int | None
) -> np.ndarray:
    known = (mask >= 0) & (mask < len(palette))
    return known if ignore_index is None else known & (mask != ignore_index)


def _hatching(shape: tuple[int, ...]) -> np.ndarray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    stripe = (rows + columns) % _HATCH_PERIOD < _HATCH_PERIOD // 2
    return np.asarray(_HATCH, np.uint8)[stripe.astype(np.intp)]


def _to_rgb(image: np.ndarray) -> np.ndarray:
    if image.ndim == 2 or image.shape[2] == 1:
        return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_GRAY2RGB)
    return np.ascontiguousarray(image[..., :3])


def _grey(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def _shorten(name: str) -> str:
    return name if len(name) <= _LEGEND_NAME else name[: _LEGEND_NAME - 1] + "…"
