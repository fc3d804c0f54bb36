"""Objects of a mask: connected regions of one class, their areas and thickness.

An object's thickness is the side of the largest square inside of it. Both are counted
in logarithmic bins, so that a dataset takes no more memory than a mask.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import cv2
import numpy as np

SIDES = (1, 2, 4, 8, 16, 32)  # of squares that fit, in pixels: the bins of thickness
_BINS = 128  # of areas, four to each doubling
_PER_DOUBLING = 4
_WHOLE = 2.0**30  # what the area of a whole image is counted as, in the shares
_ONE_IN = 20  # masks are measured …
_LEAST, _MOST = 16, 256  # … but so many of a split
_MOST_IDS = 1024  # in a mask; more are no classes


@dataclass(frozen=True)
class Objects:
    """Counts of the objects of one class; those of two masks can be added.

    masks: that show the class, of those measured.
    at_edge: objects that touch the edge of their image.
    areas: int64 (128,), objects by area in pixels.
    shares: int64 (128,), objects by area relative to their image.
    thickness: int64 (6,), objects by the side of `SIDES` that fits into them.
    pixels: int64 (6,), the pixels of those objects.
    """

    masks: int
    at_edge: int
    areas: np.ndarray
    shares: np.ndarray
    thickness: np.ndarray
    pixels: np.ndarray

    def __add__(self, other: "Objects") -> "Objects":
        names = [field.name for field in fields(self)]
        return Objects(*(getattr(self, name) + getattr(other, name) for name in names))

    def to_row(self) -> list[Any]:
        """The fields as plain numbers; of the arrays, what is not zero."""
        return [
            value if isinstance(value, int) else _sparse(value)
            for value in (getattr(self, field.name) for field in fields(self))
        ]

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Self:
        """The inverse of `to_row`."""
        sizes = (_BINS, _BINS, len(SIDES), len(SIDES))
        masks, at_edge, *tables = row
        return cls(masks, at_edge, *map(_dense, tables, sizes))

    @property
    def count(self) -> int:
        """The number of objects."""
        return int(self.areas.sum())

    def area_quartiles(self) -> tuple[int, int, int]:
        """Areas in pixels, each rounded down by less than a fifth."""
        low, middle, high = (
            int(np.ceil(_lower_edge(bin_) - 1e-9)) for bin_ in _quartiles(self.areas)
        )
        return low, middle, high

    def share_quartiles(self) -> tuple[float, float, float]:
        """Areas relative to the image, each rounded down by less than a fifth."""
        low, middle, high = (
            _lower_edge(bin_) / _WHOLE for bin_ in _quartiles(self.shares)
        )
        return low, middle, high

    def smaller_than(self, pixels: int) -> float:
        """Share of the objects whose area is less than 1 … 4, 8, 16, … pixels."""
        return float(self.areas[: _bin_of(pixels)].sum() / self.count)

    def thinner_than(self, side: int) -> float:
        """Share of the objects into which no square of a side of `SIDES` fits."""
        return float(self.thickness[: SIDES.index(side)].sum() / self.count)

    def pixels_thinner_than(self, side: int) -> float:
        """Share of the class's pixels that lies in such objects."""
        return float(self.pixels[: SIDES.index(side)].sum() / self.pixels.sum())

    @property
    def median_side(self) -> int:
        """Of `SIDES`, the one that fits into the objects with half of the pixels."""
        return SIDES[_at_share(self.pixels, 0.5)]


def choose_masks(pairs: int) -> frozenset[int]:
    """The masks of a split to measure, by index: a random sample, always the same."""
    count = min(pairs, _MOST, max(_LEAST, pairs // _ONE_IN))
    return frozenset(random.Random(0).sample(range(pairs), count))


def measure_objects(mask: np.ndarray) -> dict[int, Objects]:
    """Measure the objects of each id of a mask uint8 or uint16 (H, W).

    Pixels that touch at a corner are connected. A mask of more than 1,024 ids has none.
    """
    starts, owner = _regions(mask)
    levels = np.maximum.reduceat(_square_levels(mask).ravel(), starts)
    is_first = owner == np.arange(len(owner))
    first, index = np.flatnonzero(is_first), (np.cumsum(is_first) - 1)[owner]
    lengths = np.diff(starts, append=mask.size)
    areas = np.bincount(index, lengths).astype(np.int64)
    thickness = np.zeros(len(first), np.uint8)
    np.maximum.at(thickness, index, levels)
    at_edge = np.bincount(index, _touches_edge(starts, lengths, mask.shape)) > 0
    ids, rows = np.unique(mask.ravel()[starts[first]], return_inverse=True)
    if len(ids) > _MOST_IDS:
        return {}

    def table(bins: np.ndarray, count: int, weights: np.ndarray | None = None) -> list:
        flat = np.bincount(rows * count + bins, weights, minlength=len(ids) * count)
        return list(flat.astype(np.int64).reshape(len(ids), count))

    columns = zip(
        ids.tolist(),
        np.bincount(rows, at_edge).astype(int).tolist(),
        table(_bins_of(areas), _BINS),
        table(_bins_of(areas * (_WHOLE / mask.size)), _BINS),
        table(thickness, len(SIDES)),
        table(thickness, len(SIDES), areas),
        strict=True,
    )
    return {index: Objects(1, *measured) for index, *measured in columns}


def _regions(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Runs of equal ids along rows, and the region that each is a part of.

    Returns:
        Flat index of the first pixel of each run, and, of each run, the first run of
        its region: int (runs,).
    """
    starting = np.ones(mask.shape, bool)
    np.not_equal(mask[:, 1:], mask[:, :-1], out=starting[:, 1:])
    starts = np.flatnonzero(starting)
    lengths = np.diff(starts, append=mask.size)
    numbers = np.arange(len(starts), dtype=np.int32)
    run = np.repeat(numbers, lengths).reshape(mask.shape)
    upper, lower = starting[:-1], starting[1:]
    # Of pixels one below the other, the first of each overlap; and those at corners.
    straight = (mask[:-1] == mask[1:]) & (upper | lower)
    falling = (mask[:-1, :-1] == mask[1:, 1:]) & upper[:, 1:] & lower[:, 1:]
    rising = (mask[:-1, 1:] == mask[1:, :-1]) & upper[:, 1:] & lower[:, 1:]
    above = [run[:-1][straight], run[:-1, :-1][falling], run[:-1, 1:][rising]]
    below = [run[1:][straight], run[1:, 1:][falling], run[1:, :-1][rising]]
    return starts, _join(len(starts), np.concatenate(above), np.concatenate(below))


def _join(count: int, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The least of the nodes that each of `count` is connected with by the edges."""
    owner = np.arange(count, dtype=np.int32)
    while True:
        a, b = owner[one], owner[other]
        apart = a != b
        if not apart.any():
            return owner
        a, b, one, other = a[apart], b[apart], one[apart], other[apart]
        np.minimum.at(owner, np.maximum(a, b), np.minimum(a, b))
        while not np.array_equal(further := owner[owner], owner):
            owner = further


def _square_levels(mask: np.ndarray) -> np.ndarray:
    """How many sides of `SIDES` beyond 1 fit right of and below each pixel: (H, W)."""
    levels = np.zeros(mask.shape, np.uint8)
    for side in SIDES[1:]:
        height, width = mask.shape[0] - side + 1, mask.shape[1] - side + 1
        if min(height, width) < 1:
            break
        square = np.ones((side, side), np.uint8)
        least = cv2.erode(mask, square, anchor=(0, 0))[:height, :width]
        most = cv2.dilate(mask, square, anchor=(0, 0))[:height, :width]
        levels[:height, :width] += (least == most).view(np.uint8)
    return levels


def _touches_edge(
    starts: np.ndarray, lengths: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    height, width = shape
    rows, columns = np.divmod(starts, width)
    at_side = (columns == 0) | (columns + lengths == width)
    return at_side | (rows == 0) | (rows == height - 1)


def _bins_of(areas: np.ndarray) -> np.ndarray:
    bins = np.floor(_PER_DOUBLING * np.log2(np.maximum(areas, 1)) + 1e-9)
    return bins.astype(np.int64).clip(0, _BINS - 1)


def _bin_of(area: int) -> int:
    return int(_bins_of(np.array(area)))


def _lower_edge(bin_: int) -> float:
    return float(2.0 ** (bin_ / _PER_DOUBLING))


def _sparse(table: np.ndarray) -> list[list[int]]:
    places = np.flatnonzero(table)
    return [places.tolist(), table[places].tolist()]


def _dense(sparse: Sequence[list[int]], size: int) -> np.ndarray:
    table = np.zeros(size, np.int64)
    places, counts = sparse
    table[places] = counts
    return table


def _quartiles(counts: np.ndarray) -> list[int]:
    return [_at_share(counts, share) for share in (0.25, 0.5, 0.75)]


def _at_share(counts: np.ndarray, share: float) -> int:
    """The first bin up to which a share of all lies."""
    return int(np.searchsorted(counts.cumsum(), share * counts.sum()))
