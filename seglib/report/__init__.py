"""Pictures, plots and pages: pure functions of arrays and numbers, for every step."""

from seglib.report.evaluation import evaluation_page
from seglib.report.pages import figure, page, render, table
from seglib.report.pictures import colorize, comparison, contact_sheet, legend, overlay
from seglib.report.plots import confusion_png, curves_png
from seglib.report.preview import preview_page

__all__ = [
    "colorize",
    "comparison",
    "confusion_png",
    "contact_sheet",
    "curves_png",
    "evaluation_page",
    "figure",
    "legend",
    "overlay",
    "page",
    "preview_page",
    "render",
    "table",
]
