"""Checks of images that are copies of others, or look like them."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from seglib.data.pairs import Pair
from seglib.data.problems import NOTE, WARNING, Problem
from seglib.data.verification.file_checks import IMAGE, MASK, FileFacts
from seglib.data.verification.pair_checks import Inspection
from seglib.data.verification.similarity import near_pairs

# Of the pixels of a pair's image or mask, whose role and facts are given.
DigestOf = Callable[[Pair, str, FileFacts], str]

# Between looks at equal pixels, through a JPEG's blocks and not: on CamVid's images, of
# any size, at most 0.8 of 256 levels of brightness and 7 bits of the hash.
_ROUNDING, _ROUNDED_BITS = 2.0, 20


class _Place(NamedTuple):
    split: str
    pair: Pair
    image: FileFacts
    mask: FileFacts | None

    @property
    def name(self) -> str:
        return f"{self.split}_images/{self.pair.image.name}"


def check_copies(
    inspections: Mapping[str, Sequence[Inspection]], digest_of: DigestOf
) -> list[Problem]:
    """Findings of images with equal pixels, and of those that look alike.

    Warnings, save for images of one split that look alike, which are noted.
    """
    places = [
        _Place(split, each.pair, each.image, each.mask)
        for split, found in inspections.items()
        for each in found
        if each.image
    ]
    copies = _copies(places, digest_of)
    problems = [_copy(*pair, digest_of) for pair in copies]
    equal = {copy.pair.image for _, copy in copies}
    told = set(equal)
    for i, j in near_pairs([place.image.appearance.hash for place in places]):
        first, other = places[i], places[j]
        if first.pair.image not in equal and other.pair.image not in told:
            told.add(other.pair.image)
            problems.append(_likeness(first, other))
    return problems


def _copies(
    places: Sequence[_Place], digest_of: DigestOf
) -> list[tuple[_Place, _Place]]:
    """Images of equal pixels: the first, and another.

    They have one size and, if they are looked at in the same way, one look.
    """
    sizes: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, place in enumerate(places):
        sizes[place.image.size].append(index)
    candidates: set[int] = set()
    for indices in sizes.values():
        looks: dict[int, list[int]] = defaultdict(list)
        for index in indices:
            looks[places[index].image.appearance.hash].append(index)
        candidates.update(
            i for found in looks.values() if len(found) > 1 for i in found
        )
        candidates.update(_across_formats(places, indices))
    equal: dict[str, list[_Place]] = defaultdict(list)
    for index in sorted(candidates):
        place = places[index]
        equal[digest_of(place.pair, IMAGE, place.image)].append(place)
    return [(first, copy) for first, *others in equal.values() for copy in others]


def _across_formats(places: Sequence[_Place], indices: list[int]) -> Iterator[int]:
    """Images of one size of which a JPEG and a PNG, say, may have equal pixels.

    The look of a large JPEG comes from its blocks' means, and is not quite that of the
    same pixels in another format.
    """
    by_brightness = sorted(
        (places[index].image.appearance.brightness, index)
        for index in indices
        if places[index].image.reduced
    )
    if not by_brightness or len(by_brightness) == len(indices):
        return
    for index in indices:
        hash_, brightness = places[index].image.appearance
        if places[index].image.reduced:
            continue
        start = bisect_left(by_brightness, (brightness - _ROUNDING, 0))
        stop = bisect_left(by_brightness, (brightness + _ROUNDING, 0))
        for _, other in by_brightness[start:stop]:
            apart = hash_ ^ places[other].image.appearance.hash
            if apart.bit_count() <= _ROUNDED_BITS:
                yield from (index, other)


def _copy(first: _Place, other: _Place, digest_of: DigestOf) -> Problem:
    same_mask = (
        first.mask
        and other.mask
        and first.mask.ids == other.mask.ids
        and digest_of(first.pair, MASK, first.mask)
        == digest_of(other.pair, MASK, other.mask)
    )
    but = "" if same_mask else ", but their masks differ"
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
    return Problem(other.pair.image, reason, remedy, kind, WARNING)


def _likeness(first: _Place, other: _Place) -> Problem:
    path, reason = other.pair.image, f"looks like {first.name}"
    if first.split == other.split:
        remedy = "If they show the same, they count twice: remove one."
        return Problem(path, reason, remedy, "near-duplicate", NOTE)
    reason = f"leakage: {reason}, of another split"
    remedy = f"If they show the same, remove it from {first.split} or {other.split}."
    return Problem(path, reason, remedy, "near-leakage", WARNING)
