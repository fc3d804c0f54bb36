"""Look at a dataset: images beside their masks, on a contact sheet and a page."""

from pathlib import Path

import numpy as np

from seglib.data.dataset import Dataset
from seglib.data.image_io import encode_png
from seglib.data.pairs import IMAGE, Pair, read_pair, spread
from seglib.errors import UsageError
from seglib.report.layout import contact_sheet
from seglib.report.pages import picture_page
from seglib.report.pictures import image_and_overlay, legend
from seglib.storage.atomic_write import write_bytes, write_text

SHEET = "contact_sheet.png"
PAGE = "index.html"
_PANEL_WIDTH = 320  # pixels


def visualize(
    dataset: Dataset, out: str | Path, *, split: str = "train", count: int = 12
) -> Path:
    """Write a contact sheet of evenly spread pairs, image and overlay, with a legend.

    Args:
        out: folder for contact_sheet.png and index.html.
        split: train, val or test; "auto" is test where there is one, else val.
        count: pairs to show.

    Returns:
        The path of the contact sheet.

    Raises:
        UsageError: `count` is less than 1.
        SegError: no such split, a file cannot be read, or a mask does not fit.
    """
    if count < 1:
        raise UsageError(f"`count` must be ≥ 1. Received: count={count}.")
    out = Path(out)
    pairs = spread(dataset.pairs(split), count)
    tiles = [(pair.stem, _tile(dataset, pair)) for pair in pairs]
    has_ignored = dataset.ignore_index is not None
    key = legend(dataset.class_names, dataset.palette, height=104, ignored=has_ignored)
    write_bytes(out / SHEET, encode_png(contact_sheet(tiles, footer=key)))
    html = picture_page(
        dataset,
        tiles,
        title=f"{split} split",
        alt="the image, and its mask",
        total=len(dataset.pairs(split)),
    )
    write_text(out / PAGE, html)
    return out / SHEET


def _tile(dataset: Dataset, pair: Pair) -> np.ndarray:
    image, mask = read_pair(pair, {IMAGE: 3})
    return image_and_overlay(
        image,
        mask,
        dataset.palette,
        ignore_index=dataset.ignore_index,
        max_width=_PANEL_WIDTH,
    )
