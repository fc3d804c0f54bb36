"""Images that look alike, by a perceptual hash: equal, nearly equal, one sequence.

Reference: difference hashes, as Krawetz 2013, "Kind of Like That" (hackerfactor.com),
describes them: bits say where brightness rises from one cell of a coarse grid to the
next, along rows and, here, along columns, too.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import cv2
import numpy as np

_GRID = 8  # cells of the hash along a side
_SAMPLED = 8 * (_GRID + 1)  # pixels along a side, from which the grid is averaged
BITS = 2 * _GRID * _GRID
NEAR_BITS = 4  # of the 128 that may differ between images of one scene
_CHUNKS = NEAR_BITS + 1  # of two hashes that are so near, one chunk is equal
_MOST_IN_CHUNK = 256  # images; more are no copies, but of a kind that has no contrast
_SEQUENCE = re.compile(r"(.*[^\d])(\d+)$", re.DOTALL)
_SHORTEST_SEQUENCE = 3  # frames


class Appearance(NamedTuple):
    """What an image looks like from afar."""

    hash: int  # of 128 bits; 0: no contrast
    brightness: float  # mean grey, 0 … 255


NOTHING = Appearance(0, 0.0)


def appearance_of(image: np.ndarray) -> Appearance:
    """The look of an image uint8 or uint16 (H, W, 1 or 3)."""
    small = cv2.resize(image, (_SAMPLED, _SAMPLED), interpolation=cv2.INTER_NEAREST)
    if small.dtype == np.uint16:
        small = (small >> 8).astype(np.uint8)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY) if small.ndim == 3 else small
    side = _GRID + 1
    cells = cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA).astype(int)
    right = cells[:-1, 1:] > cells[:-1, :-1]
    down = cells[1:, :-1] > cells[:-1, :-1]
    packed = np.packbits(np.concatenate([right.ravel(), down.ravel()]))
    return Appearance(int.from_bytes(packed.tobytes(), "big"), float(grey.mean()))


def near_pairs(hashes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Indices of images whose hashes differ in at most `NEAR_BITS` bits, i < j.

    Hashes of 0 are left out. Two hashes that differ in so few bits are equal in one of
    `NEAR_BITS` + 1 chunks: those that share no chunk are never compared.
    """
    width = -(-BITS // _CHUNKS)
    seen: set[tuple[int, int]] = set()
    for chunk in range(_CHUNKS):
        buckets: dict[int, list[int]] = defaultdict(list)
        for index, value in enumerate(hashes):
            if value:
                buckets[value >> chunk * width & (1 << width) - 1].append(index)
        for bucket in buckets.values():
            if len(bucket) > _MOST_IN_CHUNK:
                continue
            for pair in combinations(bucket, 2):
                apart = (hashes[pair[0]] ^ hashes[pair[1]]).bit_count()
                if apart <= NEAR_BITS and pair not in seen:
                    seen.add(pair)
                    yield pair


def sequences(stems: Iterable[str]) -> dict[str, list[str]]:
    """Stems by the part before their last number: `clip3_0012` is one of `clip3_`.

    Only parts with several frames.
    """
    frames: dict[str, list[str]] = defaultdict(list)
    for stem in stems:
        if found := _SEQUENCE.match(stem):
            frames[found[1]].append(stem)
    return {k: v for k, v in frames.items() if len(v) >= _SHORTEST_SEQUENCE}
