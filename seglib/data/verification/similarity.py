"""Images that look alike, by a perceptual hash: equal, nearly equal, one sequence.

Reference: difference hashes, as Krawetz 2013, "Kind of Like That" (hackerfactor.com),
describes them: bits say where brightness rises from one cell of a coarse grid to the
next, along rows and, here, along columns, too.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import cv2
import numpy as np

_GRID = 8  # cells of the hash along a side
_SAMPLED = 4 * (_GRID + 1)  # pixels along a side, from which the grid is averaged
_FLAT = 0.5  # of 256 levels; smaller steps differ with the decoder's rounding
BITS = 2 * _GRID * _GRID
NEAR_BITS = 4  # of the 128 that may differ between images of one scene
# Images; of more, as of a fixed camera, each is compared with its neighbours.
_MOST_IN_CHUNK, _NEIGHBOURS = 256, 32
_BYTES = np.arange(256, dtype=np.uint8)[:, None]
_BITS_SET = np.unpackbits(_BYTES, axis=1).sum(axis=1, dtype=np.uint8)
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


def near_pairs(
    hashes: np.ndarray, bits: int = NEAR_BITS
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Indices of images whose hashes differ in at most so many bits, i < j.

    Two hashes that differ in so few bits are equal in one of `bits` + 1 chunks:
    those that share no chunk are never compared. Time and memory grow with the number
    of images, however many look alike: of more than 256 that do, not all pairs are
    found, but some of nearly each image.

    Args:
        hashes: uint64 (images, 2), their upper and lower halves; 0 is left out.

    Yields:
        Some i and their j, each pair once.
    """
    seen = np.flatnonzero(hashes.any(axis=1))
    for number in range(bits + 1):
        chunk = _chunk(hashes, number, bits + 1)[seen]
        places = np.argsort(chunk, kind="stable")
        order, values = seen[places], chunk[places]
        starts = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
        sizes = np.diff(starts, append=len(values))
        reach = np.where(sizes <= _MOST_IN_CHUNK, sizes - 1, _NEIGHBOURS)
        # Of each image, how many of those behind it in its bucket it is compared with.
        behind = np.repeat(starts + sizes, sizes) - np.arange(len(values)) - 1
        left = np.minimum(behind, np.repeat(reach, sizes))
        at = np.arange(len(values))
        for distance in range(1, int(left.max(initial=0)) + 1):
            at = at[left[at] >= distance]
            i, j = order[at], order[at + distance]
            near = _bits_apart(hashes[i], hashes[j]) <= bits
            i, j = i[near], j[near]
            for other in range(number):  # they were met before
                one, another = (_chunk(hashes[k], other, bits + 1) for k in (i, j))
                i, j = i[one != another], j[one != another]
            if len(i):
                yield i, j


def _chunk(hashes: np.ndarray, number: int, chunks: int) -> np.ndarray:
    """Some bits of each hash: uint64 (images,)."""
    width = -(-BITS // chunks)
    start, ones = number * width, np.uint64((1 << width) - 1)
    high, low = hashes[:, 0], hashes[:, 1]
    half = BITS // 2
    if start >= half:
        return high >> np.uint64(start - half) & ones
    if start + width <= half:
        return low >> np.uint64(start) & ones
    return (low >> np.uint64(start) | high << np.uint64(half - start)) & ones


def _bits_apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """In how many bits hashes uint64 (images, 2) differ: int (images,)."""
    differing = np.ascontiguousarray(one ^ other).view(np.uint8)
    return _BITS_SET[differing].sum(axis=1)


def sequences(stems: Iterable[str]) -> dict[str, list[str]]:
    """Stems by the part before their last number: `clip3_0012` is one of `clip3_`.

    Only parts with several frames.
    """
    frames: dict[str, list[str]] = defaultdict(list)
    for stem in stems:
        if found := _SEQUENCE.match(stem):
            frames[found[1]].append(stem)
    return {k: v for k, v in frames.items() if len(v) >= _SHORTEST_SEQUENCE}


def sequence_sizes(stems: Callable[[], Iterable[str]]) -> dict[str, int]:
    """The number of frames of each of the `sequences`; the stems are read twice."""
    hashes = np.fromiter(map(hash, _beginnings(stems())), np.int64)
    values, counts = np.unique(hashes, return_counts=True)
    frequent = set(values[counts >= _SHORTEST_SEQUENCE].tolist())
    sizes = Counter(name for name in _beginnings(stems()) if hash(name) in frequent)
    return {k: count for k, count in sizes.items() if count >= _SHORTEST_SEQUENCE}


def _beginnings(stems: Iterable[str]) -> Iterator[str]:
    """Of each stem with a number at its end, the part before."""
    for stem in stems:
        if stem.isascii():  # a fifth of the pattern's time
            beginning = stem.rstrip("0123456789")
            if beginning and len(beginning) < len(stem):
                yield beginning
        elif found := _SEQUENCE.match(stem):
            yield found[1]
