"""Pictures of images and masks, arrays in and out, and plots as figures.

>>> import numpy as np
>>> from seglib import drawing
>>> mask = np.array([[0, 1]])
>>> drawing.colorize(mask, [drawing.class_color(0), drawing.class_color(1)]).shape
(1, 2, 3)
"""

from seglib.drawing.album import Album
from seglib.drawing.layout import contact_sheet
from seglib.drawing.palette import class_color
from seglib.drawing.pictures import (
    colorize,
    comparison,
    error_map,
    image_and_overlay,
    legend,
    overlay,
)
from seglib.drawing.plots import plot_confusion, plot_curves

__all__ = [
    "Album",
    "class_color",
    "colorize",
    "comparison",
    "contact_sheet",
    "error_map",
    "image_and_overlay",
    "legend",
    "overlay",
    "plot_confusion",
    "plot_curves",
]
