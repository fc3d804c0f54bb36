"""Pictures of predictions."""

from collections.abc import Sequence

import cv2
import numpy as np

from seglib.drawing import colorize, legend, overlay
from seglib.drawing.layout import beside, resize_ids


def draw(
    ids: np.ndarray,
    image: np.ndarray,
    colors: Sequence[tuple[int, int, int]],
    *,
    overlay_img: bool = False,
    legend_names: Sequence[str] = (),
    size: tuple[int | None, int | None] = (None, None),
) -> np.ndarray:
    """A prediction in the colours of its classes.

    Args:
        ids: int array (H, W).
        image: uint8 array (H, W, C), RGB, grey or RGBA.
        colors: (blue, green, red) by class id.
        overlay_img: lay them over the image.
        legend_names: of the classes, drawn beside; none: no legend.
        size: (height, width) in pixels; where one is None, that of `ids`.

    Returns:
        uint8 array (h, w, 3), RGB.
    """
    palette = [(red, green, blue) for blue, green, red in colors]
    height, width = size
    if height and width:
        ids = resize_ids(ids, (height, width))
        image = cv2.resize(image, (width, height)).reshape(height, width, -1)
    picture = overlay(image, ids, palette) if overlay_img else colorize(ids, palette)
    if not legend_names:
        return picture
    return beside([picture, legend(legend_names, palette[: len(legend_names)])])
