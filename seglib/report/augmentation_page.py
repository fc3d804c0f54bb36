"""The page on augmented pairs."""

from collections.abc import Sequence

import numpy as np

from seglib.data.dataset import Dataset
from seglib.report.layout import beside, labelled, stacked
from seglib.report.pages import class_legend, inline_pictures, page, picture_grid
from seglib.report.pictures import image_and_overlay

_SHOWN_VERSIONS = 4  # the original, and the first copies
_PANEL_WIDTH = 320  # pixels

Version = tuple[np.ndarray, np.ndarray]


def preview_page(
    rows: Sequence[tuple[str, Sequence[Version]]], dataset: Dataset, *, title: str
) -> str:
    """Original pairs beside their altered copies, as one self-contained HTML text.

    Args:
        rows: stem, and versions of a pair, the original first: image uint8
            (H, W, 1 or 3 or 4) and mask (H, W).
        dataset: gives the classes' names and colours.
    """
    sources = inline_pictures([_sheet(versions, dataset) for _, versions in rows])
    grid = picture_grid(
        [
            {
                "source": source,
                "name": stem,
                "alt": f"{stem}: the original and its copies, each beside its mask",
            }
            for (stem, _), source in zip(rows, sources, strict=False)
        ],
        columns=1,
    )
    legend = class_legend(
        dataset.class_names, dataset.palette, ignored=dataset.ignore_index is not None
    )
    return page(title, legend, grid)


def _sheet(versions: Sequence[Version], dataset: Dataset) -> np.ndarray:
    """Versions of one pair, two to a line."""
    tiles = []
    for copy, (image, mask) in enumerate(versions[:_SHOWN_VERSIONS]):
        tile = image_and_overlay(
            image,
            mask,
            dataset.palette,
            ignore_index=dataset.ignore_index,
            max_width=_PANEL_WIDTH,
        )
        tiles.append(labelled(tile, f"copy {copy}" if copy else "original", size=12))
    return stacked([beside(tiles[i : i + 2]) for i in range(0, len(tiles), 2)])
