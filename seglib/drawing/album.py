"""Pairs as tiles of a sheet or a page, and how much of each class they show."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from seglib.drawing.layout import MAX_PANEL, contact_sheet, paragraph, stacked
from seglib.drawing.pictures import (
    IGNORED,
    NO_CLASS,
    Colour,
    Palette,
    image_and_overlay,
    legend,
)

_NAMED = 5  # ids that are no class
_COUNTED = 1 << 22  # pixels at once; they are counted as integers of 64 bits


@dataclass(frozen=True)
class Entry:
    """A line of a legend: a class or a hatching, and its share of pixels, 0 … 1."""

    name: str
    colour: Colour
    share: float


@dataclass
class Album:
    """Pictures of pairs in rows, with a legend of the classes that they show.

    class_names, palette: by class id.
    ignore_index: id of the pixels that are not counted.
    layout: "side-by-side", "stacked" or "overlay"; see `image_and_overlay`.
    max_width: of a panel, in pixels.
    columns: tiles side by side.
    """

    class_names: Sequence[str]
    palette: Palette
    ignore_index: int | None = None
    layout: str = "side-by-side"
    max_width: int = MAX_PANEL
    columns: int = 2
    # Heading of each row -> its tiles, with their captions.
    rows: dict[str, list[tuple[str, np.ndarray]]] = field(default_factory=dict)
    _pixels: np.ndarray = field(default_factory=lambda: np.zeros(1 << 16, np.int64))

    def add(
        self, image: np.ndarray, mask: np.ndarray, caption: str, *, row: str = ""
    ) -> None:
        """Add a pair as the last tile of a row.

        Args:
            image: uint8 array (H, W, 1 or 3 or 4).
            mask: int array (H, W) of class ids, 0 … 65535.
        """
        tile = image_and_overlay(
            image,
            mask,
            self.palette,
            ignore_index=self.ignore_index,
            max_width=self.max_width,
            layout=self.layout,
        )
        self.rows.setdefault(row, []).append((caption, tile))
        for part in np.array_split(mask, mask.size // _COUNTED + 1):
            self._pixels += np.bincount(part.reshape(-1), minlength=self._pixels.size)

    def entries(self) -> list[Entry]:
        """The legend: classes by id, ignored pixels, ids that are no class."""
        shares = self._pixels / max(1, self._pixels.sum())
        ignored = 0.0
        if self.ignore_index is not None:
            ignored, shares[self.ignore_index] = shares[self.ignore_index], 0
        known = len(self.class_names)
        entries = [
            Entry(self.class_names[i], self.palette[i], float(shares[i]))
            for i in map(int, np.flatnonzero(shares[:known]))
        ]
        if ignored:
            entries.append(Entry("ignored", IGNORED, float(ignored)))
        wrong = np.flatnonzero(shares[known:]) + known
        if wrong.size:
            more = " …" if wrong.size > _NAMED else ""
            name = f"no class: {', '.join(map(str, wrong[:_NAMED]))}{more}"
            entries.append(Entry(name, NO_CLASS, float(shares[wrong].sum())))
        return entries

    def sheet(self, text: str = "") -> np.ndarray:
        """All tiles on one picture, with the legend and a text below.

        Returns:
            uint8 array (h, w, 3), RGB.
        """
        tiles = [
            (f"{row} · {caption}" if row else caption, tile)
            for row, listed in self.rows.items()
            for caption, tile in listed
        ]
        entries = self.entries()
        width = self.columns * max(tile.shape[1] for _, tile in tiles)
        below = [
            legend(
                [entry.name for entry in entries],
                [entry.colour for entry in entries],
                shares=[entry.share for entry in entries],
                width=width,
            )
        ]
        if text:
            below.append(paragraph(text, width))
        return contact_sheet(tiles, columns=self.columns, footer=stacked(below))
