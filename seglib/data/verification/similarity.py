"""Images that look alike, by a perceptual hash: equal, nearly equal, one sequence.

Reference: difference hashes, as Krawetz 2013, "Kind of Like That" (hackerfactor.com),
describes them: bits say where brightness rises from one cell of a coarse grid to the
next, along rows and, here, along columns, too.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, combinations
from typing import NamedTuple

import cv2
import numpy as np

_GRID = 8  # cells of the hash along a side
_SAMPLED = 4 * (_GRID + 1)  # pixels along a side, from which the grid is averaged
_FLAT = 0.5  # of 256 levels; smaller steps differ with the decoder's rounding
BITS = 2 * _GRID * _GRID
NEAR_BITS = 4  # of the 128 that may differ between images of one scene
_CHUNKS = NEAR_BITS + 1  # of two hashes that are so near, one chunk is equal
# Images; of more, as of a fixed camera, each is compared with its neighbours.
_MOST_IN_CHUNK, _NEIGHBOURS = 256, 32
_SEQUENCE = re.compile(r"(.*[^\d])(\d+)$", re.DOTALL)
_SHORTEST_SEQUENCE = 3  # frames


class Appearance(NamedTuple):
    """What an image looks like from afar."""

    hash: int  # of 128 bits; 0: no contrast
    brightness: float  # mean grey, 0 … 255


NOTHING = Appearance(0, 0.0)


def appearance_of(image: np.ndarray) -> Appearance:
    """The look of an image uint8 or uint16 (H, W, 1 or 3), whole or reduced."""
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.shape[2] == 3 else image
    sampled = cv2.resize(grey, (_SAMPLED, _SAMPLED), interpolation=cv2.INTER_AREA)
    side = _GRID + 1
    cells = cv2.resize(
        sampled.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA
    )
    corner = cells[:-1, :-1] + _FLAT
    packed = np.packbits([cells[:-1, 1:] > corner, cells[1:, :-1] > corner])
    return Appearance(int.from_bytes(packed.tobytes(), "big"), cv2.mean(sampled)[0])


def near_pairs(hashes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Indices of images whose hashes differ in at most `NEAR_BITS` bits, i < j.

    Hashes of 0 are left out. Two hashes that differ in so few bits are equal in one of
    `NEAR_BITS` + 1 chunks: those that share no chunk are never compared. Time and
    memory grow with the number of images, however many look alike: of more than 256
    that do, not all pairs are found, but some of nearly each image.
    """
    width = -(-BITS // _CHUNKS)
    ones = (1 << width) - 1
    for chunk in range(_CHUNKS):
        buckets: dict[int, list[int]] = defaultdict(list)
        for index, value in enumerate(hashes):
            if value:
                buckets[value >> chunk * width & ones].append(index)
        for bucket in buckets.values():
            for i, j in _combinations(bucket):
                apart = hashes[i] ^ hashes[j]
                if apart.bit_count() > NEAR_BITS:
                    continue
                if all(apart >> c * width & ones for c in range(chunk)):  # not met yet
                    yield i, j


def _combinations(bucket: list[int]) -> Iterator[tuple[int, int]]:
    """All pairs of a bucket; of a large one, those that stand near each other."""
    if len(bucket) <= _MOST_IN_CHUNK:
        return combinations(bucket, 2)
    apart = range(1, _NEIGHBOURS + 1)
    return chain.from_iterable(zip(bucket, bucket[n:], strict=False) for n in apart)


def sequences(stems: Iterable[str]) -> dict[str, list[str]]:
    """Stems by the part before their last number: `clip3_0012` is one of `clip3_`.

    Only parts with several frames.
    """
    frames: dict[str, list[str]] = defaultdict(list)
    for stem in stems:
        if found := _SEQUENCE.match(stem):
            frames[found[1]].append(stem)
    return {k: v for k, v in frames.items() if len(v) >= _SHORTEST_SEQUENCE}
