"""What the names of masks have that those of their images have not."""

import re
from collections.abc import Collection
from itertools import takewhile
from typing import NamedTuple

_MARK = re.compile(r"[-_. ]")  # where one part of a name ends and another begins
_MOST = 200  # candidates; more are no pattern


class NamePattern(NamedTuple):
    """`image_affixes` around a common name, and `mask_affixes` around the same."""

    image_affixes: tuple[str, str]
    mask_affixes: tuple[str, str]
    same_case: bool = True

    def name(self, image: str) -> str:
        """The part of an image's stem that its mask's has, too."""
        before, after = self.image_affixes
        return image[len(before) : len(image) - len(after)]

    def mask(self, image: str) -> str:
        """The stem of the mask of an image's stem."""
        before, after = self.mask_affixes
        return before + self.name(image) + after

    def __str__(self) -> str:
        if not self.same_case:
            return "names that differ in small and capital letters"
        image, mask = map("…".join, (self.image_affixes, self.mask_affixes))
        return f"masks named `{mask}` for images named `{image}`"


def find_patterns(
    images: Collection[str], masks: Collection[str]
) -> list[tuple[NamePattern, dict[str, str]]]:
    """The patterns by which every image finds a mask of its own, or every mask one.

    Such as `_mask` behind the image's name, `_gtFine_labelIds` in place of
    `_leftImg8bit`, or other capital letters.

    Args:
        images: stems without a mask of the same stem.
        masks: stems without an image of the same stem.

    Returns:
        Each pattern, and the image's stem of each mask's. With more than one, only a
        person can tell which masks are meant.
    """
    fitting: dict[frozenset[tuple[str, str]], NamePattern] = {}
    if images and masks:
        for pattern in _candidates(images, masks):
            if found := _pairs(pattern, images, masks):
                fitting.setdefault(frozenset(found.items()), pattern)
    return [(pattern, dict(found)) for found, pattern in fitting.items()]


def _candidates(images: Collection[str], masks: Collection[str]) -> list[NamePattern]:
    probe = max(images, key=lambda stem: (len(stem), stem))  # the least ambiguous
    found = [NamePattern(("", ""), ("", ""), same_case=False)]
    for affixes in _common_affixes(images):
        name = NamePattern(affixes, ("", "")).name(probe)
        for mask in masks:
            before, met, after = mask.partition(name)
            if met and name and _is_apart(before, after, name):
                found.append(NamePattern(affixes, (before, after)))
                if len(found) > _MOST:
                    return []
    return found


def _common_affixes(stems: Collection[str]) -> list[tuple[str, str]]:
    """Nothing, and what all stems begin or end with, cut where a part ends."""
    head = _common_beginning(stems)
    tail = _common_beginning([stem[::-1] for stem in stems])[::-1]
    heads = [head[: found.end()] for found in _MARK.finditer(head)]
    tails = [tail[found.start() :] for found in _MARK.finditer(tail)]
    return [("", ""), *((head, "") for head in heads), *(("", tail) for tail in tails)]


def _common_beginning(texts: Collection[str]) -> str:
    first, last = min(texts), max(texts)  # all others lie between them
    equal = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return "".join(letter for letter, _ in equal)


def _is_apart(before: str, after: str, name: str) -> bool:
    """Whether the name is a part of its own, not the `1` of `11` or of `a1b`."""
    return not (_joined(before[-1:], name[0]) or _joined(name[-1], after[:1]))


def _joined(left: str, right: str) -> bool:
    return (left.isalpha() and right.isalpha()) or (left.isdigit() and right.isdigit())


def _pairs(
    pattern: NamePattern, images: Collection[str], masks: Collection[str]
) -> dict[str, str]:
    """Mask's stem → image's stem, if all images or all masks find a partner."""
    if pattern.same_case:
        known = set(masks)
        found = {pattern.mask(i): i for i in images if pattern.mask(i) in known}
    else:
        by_case = {stem.casefold(): stem for stem in images}
        if len(by_case) < len(images) or len(masks) > len(
            {m.casefold() for m in masks}
        ):
            return {}
        found = {m: by_case[m.casefold()] for m in masks if m.casefold() in by_case}
    return found if len(found) in (len(images), len(masks)) else {}
