"""Pictures, plots and pages: pure functions of arrays and numbers, for every step."""

from seglib.report.augmentation_page import preview_page
from seglib.report.evaluation_page import evaluation_page
from seglib.report.layout import contact_sheet
from seglib.report.pages import (
    class_legend,
    figure,
    heading,
    inline_pictures,
    page,
    picture_grid,
    render,
    table,
)
from seglib.report.pictures import colorize, comparison, legend, overlay
from seglib.report.plots import confusion_png, curves_png

__all__ = [
    "class_legend",
    "colorize",
    "comparison",
    "confusion_png",
    "contact_sheet",
    "curves_png",
    "evaluation_page",
    "figure",
    "heading",
    "inline_pictures",
    "legend",
    "overlay",
    "page",
    "picture_grid",
    "preview_page",
    "render",
    "table",
]
