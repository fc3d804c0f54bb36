"""Look at a dataset: images beside their masks, on a contact sheet and a page."""

from pathlib import Path

import numpy as np

from seglib.data.dataset import Dataset
from seglib.data.image_io import encode_png, read_image, read_mask
from seglib.data.pairs import Pair
from seglib.errors import SegError, UsageError
from seglib.report import (
    class_legend,
    contact_sheet,
    inline_pictures,
    legend,
    page,
    picture_grid,
)
from seglib.report.pictures import image_and_overlay
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
    pairs = _spread(dataset.pairs(split), count)
    tiles = [(pair.stem, _tile(dataset, pair)) for pair in pairs]
    has_ignored = dataset.ignore_index is not None
    key = legend(dataset.class_names, dataset.palette, height=104, ignored=has_ignored)
    write_bytes(out / SHEET, encode_png(contact_sheet(tiles, footer=key)))
    sources = inline_pictures([picture for _, picture in tiles])
    html = page(
        f"{split} split",
        class_legend(dataset.class_names, dataset.palette, ignored=has_ignored),
        picture_grid(
            [
                {
                    "source": source,
                    "name": stem,
                    "alt": f"{stem}: the image, and its mask",
                }
                for (stem, _), source in zip(tiles, sources, strict=False)
            ]
        ),
        subtitle=f"{len(sources)} of {len(dataset.pairs(split)):,} pairs",
    )
    write_text(out / PAGE, html)
    return out / SHEET


def _spread(pairs: tuple[Pair, ...], count: int) -> list[Pair]:
    count = min(count, len(pairs))
    return [pairs[index * len(pairs) // count] for index in range(count)]


def _tile(dataset: Dataset, pair: Pair) -> np.ndarray:
    image, mask = read_image(pair.image), read_mask(pair.mask)
    if image.shape[:2] != mask.shape:
        raise SegError(
            f"{pair.mask}: the image is {_size(image)}, the mask {_size(mask)}. "
            f"`seglib verify {dataset.root}` explains it."
        )
    return image_and_overlay(
        image,
        mask,
        dataset.palette,
        ignore_index=dataset.ignore_index,
        max_width=_PANEL_WIDTH,
    )


def _size(array: np.ndarray) -> str:
    return f"{array.shape[0]}×{array.shape[1]}"
