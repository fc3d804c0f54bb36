"""Checks of images that are copies of others, or look like them."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seglib.data.problems import NOTE, WARNING, Problem
from seglib.data.verification.file_checks import IMAGE, MASK
from seglib.data.verification.pair_checks import Inspection
from seglib.data.verification.similarity import near_pairs
from seglib.data.verification.split_facts import SplitFacts

# Of the pixels of a file, whose role and md5 are given.
DigestOf = Callable[[Path, str, bytes], bytes]

# Between looks at equal pixels, through a JPEG's blocks and not: on CamVid's images, of
# any size, at most 0.8 of 256 levels of brightness and 7 bits of the hash.
_ROUNDING, _ROUNDED_BITS = 2.0, 10
_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio
_BUT = ", but their masks differ"


class _Place(NamedTuple):
    split: str
    found: Inspection

    @property
    def name(self) -> str:
        return f"{self.split}_images/{self.found.pair.image.name}"


def check_copies(
    splits: Mapping[str, SplitFacts], digest_of: DigestOf
) -> Iterator[Problem]:
    """Findings of images with equal pixels, and of those that look alike.

    Warnings, save for images of one split that look alike, which are noted. Memory and
    time grow with the number of images; pixels are compared only where all that is
    known of two images is equal and their files are not.
    """
    if not splits:  # none was asked for
        return
    images = _Images(splits)
    hashes = images.column("hash").astype(np.uint64)
    for first, copy in _copies(images, hashes, digest_of):
        hashes[copy] = 0
        yield _copy(images.place(first), images.place(copy), digest_of)
    nearest = np.full(len(images), len(images))
    for i, j in near_pairs(hashes):
        np.minimum.at(nearest, j, i)
    for number in np.flatnonzero(nearest < len(images)).tolist():
        yield _likeness(images.place(int(nearest[number])), images.place(number))


class _Images:
    """The images of all splits, by their number."""

    def __init__(self, splits: Mapping[str, SplitFacts]):
        self._splits = [*splits.items()]
        sizes = [len(facts) for facts in splits.values()]
        self._starts = np.cumsum([0, *sizes])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def column(self, name: str) -> np.ndarray:
        return np.concatenate([facts.images[name] for _, facts in self._splits])

    def place(self, number: int) -> _Place:
        index = int(np.searchsorted(self._starts, number, side="right")) - 1
        split, facts = self._splits[index]
        return _Place(split, facts[int(number - self._starts[index])])


def _copies(
    images: _Images, hashes: np.ndarray, digest_of: DigestOf
) -> Iterator[tuple[int, int]]:
    """Images of equal pixels: the first, and another.

    They have one size and, if they are looked at in the same way, one look.
    """
    size, reduced = images.column("size"), images.column("reduced")
    brightness = images.column("brightness")
    # Of 64 bits: two that are equal by chance have other pixels, which are compared.
    look = _code(size).view(np.uint64) ^ reduced
    whole = np.where(reduced, 0, brightness).view(np.uint64)
    for column in (hashes[:, 0], hashes[:, 1], whole):
        look *= _ODD
        look ^= look >> np.uint64(32)
        look ^= column
    order = np.argsort(look, kind="stable")
    ordered, md5 = look[order], images.column("md5").view(">u8").reshape(-1, 2)
    begins, changes = np.ones(len(order), bool), np.zeros(len(order), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=begins[1:])
    ordered_md5 = md5[order]
    changes[1:] = (ordered_md5[1:] != ordered_md5[:-1]).any(axis=1)
    group = np.empty(len(order), np.int64)
    group[order] = begins.cumsum() - 1  # of equal looks
    counts = np.bincount(group)
    in_doubt = np.zeros(len(counts), bool)  # whose pixels are compared
    in_doubt[group[order[changes & ~begins]]] = True
    in_doubt[group[_across_formats(size, reduced, hashes, brightness)]] = True
    candidates = (in_doubt | (counts > 1))[group] & (size[:, 0] > 0)
    firsts: dict[bytes, int] = {}
    for number in np.flatnonzero(candidates).tolist():
        key = md5[number].tobytes()
        if in_doubt[group[number]]:
            path = images.place(number).found.pair.image
            key = digest_of(path, IMAGE, key)
        if (first := firsts.setdefault(key, number)) != number:
            yield first, number


def _across_formats(
    size: np.ndarray, reduced: np.ndarray, hashes: np.ndarray, brightness: np.ndarray
) -> np.ndarray:
    """Images of one size of which a JPEG and a PNG, say, may have equal pixels.

    The look of a large JPEG comes from its blocks' means, and is not quite that of the
    same pixels in another format.
    """
    code = _code(size)
    mixed = np.isin(code, np.intersect1d(code[reduced], code[~reduced]))
    order = np.flatnonzero(mixed)
    # Of many in one bucket, those of like brightness are compared.
    order = order[np.argsort(brightness[order], kind="stable")]
    found = [np.zeros(0, np.int64)]
    for one, other in near_pairs(hashes[order], _ROUNDED_BITS):
        i, j = order[one], order[other]
        may = (reduced[i] != reduced[j]) & (code[i] == code[j])
        may &= np.abs(brightness[i] - brightness[j]) <= _ROUNDING
        found += [i[may], j[may]]
    return np.unique(np.concatenate(found))


def _code(size: np.ndarray) -> np.ndarray:
    """One number for a height and a width: int64 (images,)."""
    return size[:, 0].astype(np.int64) << 32 | size[:, 1]


def _copy(first: _Place, other: _Place, digest_of: DigestOf) -> Problem:
    but = "" if _same_mask(first.found, other.found, digest_of) else _BUT
    path = other.found.pair.image
    if first.split == other.split:
        reason, kind = f"the same pixels as {first.name}{but}", "duplicate"
        remedy = "Remove one of the two pairs: it counts twice."
    else:
        reason = f"leakage: the same pixels as {first.name} of another split{but}"
        remedy = (
            f"Remove the pair from {first.split} or {other.split}: it flatters the "
            "score."
        )
        kind = "leakage"
    return Problem(path, reason, remedy, kind, WARNING)


def _same_mask(first: Inspection, other: Inspection, digest_of: DigestOf) -> bool:
    one, another = first.mask, other.mask
    if not one or not another or one.ids != another.ids:
        return False
    return one.md5 == another.md5 or digest_of(
        first.pair.mask, MASK, bytes.fromhex(one.md5)
    ) == digest_of(other.pair.mask, MASK, bytes.fromhex(another.md5))


def _likeness(first: _Place, other: _Place) -> Problem:
    path, reason = other.found.pair.image, f"looks like {first.name}"
    if first.split == other.split:
        remedy = "If they show the same, they count twice: remove one."
        return Problem(path, reason, remedy, "near-duplicate", NOTE)
    reason = f"leakage: {reason}, of another split"
    remedy = f"If they show the same, remove it from {first.split} or {other.split}."
    return Problem(path, reason, remedy, "near-leakage", WARNING)
