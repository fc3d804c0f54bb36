"""The share of the pixels that each class has in two versions of a dataset."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from seglib.data.dataset import SPLITS
from seglib.data.versions.class_counts import MaskCounts

SplitMasks = Mapping[str, Sequence[str]]  # split -> md5 of each of its masks


@dataclass(frozen=True, kw_only=True)
class SplitSide:
    """A split in one version."""

    masks: int
    pixels: int
    ignored_pixels: int


@dataclass(frozen=True, kw_only=True)
class ClassSide:
    """A class in a split of one version."""

    id: int | None  # None: the version does not have the class
    pixels: int
    share: float | None  # of the pixels that are not ignored; None: there are none
    masks: int  # that show it


@dataclass(frozen=True, kw_only=True)
class ClassChange:
    """A class in both versions of a split."""

    name: str
    old: ClassSide
    new: ClassSide
    points: float | None  # difference of the shares, in percentage points
    change: Literal["", "appears", "vanishes"]


@dataclass(frozen=True, kw_only=True)
class SplitChange:
    """A split in both versions; classes that vanish, appear or change most first."""

    split: str
    old: SplitSide
    new: SplitSide
    classes: tuple[ClassChange, ...]


@dataclass(frozen=True, kw_only=True)
class ClassDiff:
    """The classes of two versions; no splits if masks are not counted."""

    masks: tuple[int, int]  # of the old and of the new version
    uncounted: tuple[int, int]  # masks of them whose pixels nobody counted
    splits: tuple[SplitChange, ...] = ()
    notes: tuple[str, ...] = ()  # reasons for uncounted masks; classes with another id


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The names of a version's ids. Without names and a number, every id is a class."""

    class_names: tuple[str, ...] = ()
    num_classes: int = 0
    ignore_index: int | None = None

    @property
    def size(self) -> int:
        """Number of listed classes; 0: unknown."""
        return self.num_classes or len(self.class_names)

    def name(self, index: int) -> str:
        if index < len(self.class_names):
            return self.class_names[index]
        if 0 < self.size <= index:
            return f"id {index}, no class"
        return f"class_{index}"


def compare_classes(
    old: SplitMasks,
    new: SplitMasks,
    counts: MaskCounts,
    vocabularies: tuple[Vocabulary, Vocabulary],
    *,
    notes: Sequence[str] = (),
) -> ClassDiff:
    """Compare the classes of two versions, split by split.

    Classes are the same if their names are, or their ids if a version has no names.

    Args:
        old: the masks of the old version.
        new: the masks of the new one.
        counts: pixels by id, of those masks that are counted.
        vocabularies: of the old version and of the new one.
        notes: go before those of this function.
    """
    keys = _Keys(vocabularies)
    every = [[md5 for masks in side.values() for md5 in masks] for side in (old, new)]
    missing = [sum(md5 not in counts for md5 in masks) for masks in every]
    splits = [split for split in SPLITS if split in old or split in new]
    return ClassDiff(
        masks=(len(every[0]), len(every[1])),
        uncounted=(missing[0], missing[1]),
        splits=()
        if any(missing)
        else tuple(
            _compare_split(split, old.get(split, ()), new.get(split, ()), counts, keys)
            for split in splits
        ),
        notes=(*notes, *keys.moved()),
    )


class _Keys:
    """What makes a class of one version the same as one of the other."""

    def __init__(self, vocabularies: tuple[Vocabulary, Vocabulary]):
        self.vocabularies = vocabularies
        self._by_name = all(v.class_names for v in vocabularies)

    def key(self, side: int, index: int) -> Any:
        return self.vocabularies[side].name(index) if self._by_name else index

    def listed(self, side: int) -> dict[Any, int]:
        """The classes that a version lists, whether or not a mask shows them."""
        vocabulary = self.vocabularies[side]
        ids = (i for i in range(vocabulary.size) if i != vocabulary.ignore_index)
        return {self.key(side, index): index for index in ids}

    def name(self, key: Any) -> str:
        """The new version's name of a class, or else the old one's."""
        if self._by_name:
            return str(key)
        newest = self.vocabularies[::-1]
        named = (v for v in newest if key < v.size)
        return next(named, newest[0]).name(key)

    def moved(self) -> Iterator[str]:
        """A note on names that stand for another id than before."""
        old, new = (self.listed(side) if self._by_name else {} for side in (0, 1))
        changed = [key for key in old if key in new and new[key] != old[key]]
        moved = [f"{name}: {old[name]} → {new[name]}" for name in changed]
        if moved:
            yield f"Classes with another id than before: {', '.join(moved)}."


@dataclass
class _Tally:
    """The pixels of a split in one version."""

    masks: int
    ids: dict[Any, int]
    ignored: int = 0
    pixels: Counter[Any] = field(default_factory=Counter)
    shown: Counter[Any] = field(default_factory=Counter)

    def side(self) -> SplitSide:
        pixels = self.pixels.total() + self.ignored
        return SplitSide(masks=self.masks, pixels=pixels, ignored_pixels=self.ignored)

    def class_side(self, key: Any) -> ClassSide:
        pixels, total = self.pixels[key], self.pixels.total()
        return ClassSide(
            id=self.ids.get(key),
            pixels=pixels,
            share=pixels / total if total else None,
            masks=self.shown[key],
        )


def _compare_split(
    split: str,
    old: Sequence[str],
    new: Sequence[str],
    counts: MaskCounts,
    keys: _Keys,
) -> SplitChange:
    before, after = (
        _tally(masks, counts, keys, side) for side, masks in enumerate((old, new))
    )
    classes = [
        _compare_class(keys.name(key), before.class_side(key), after.class_side(key))
        for key in dict.fromkeys((*after.ids, *before.ids))
    ]
    return SplitChange(
        split=split,
        old=before.side(),
        new=after.side(),
        classes=tuple(sorted(classes, key=_rank)),
    )


def _tally(masks: Sequence[str], counts: MaskCounts, keys: _Keys, side: int) -> _Tally:
    tally = _Tally(masks=len(masks), ids=keys.listed(side))
    ignored = keys.vocabularies[side].ignore_index
    for index, pixels in (item for md5 in masks for item in counts[md5].items()):
        if index == ignored:
            tally.ignored += pixels
            continue
        key = keys.key(side, index)
        tally.ids.setdefault(key, index)
        tally.pixels[key] += pixels
        tally.shown[key] += 1
    return tally


def _compare_class(name: str, old: ClassSide, new: ClassSide) -> ClassChange:
    change: Literal["", "appears", "vanishes"] = ""
    points = None
    if old.share is not None and new.share is not None:  # both have the split
        points = 100 * (new.share - old.share)
        if bool(old.pixels) != bool(new.pixels):
            change = "appears" if new.pixels else "vanishes"
    return ClassChange(name=name, old=old, new=new, points=points, change=change)


def _rank(change: ClassChange) -> tuple[Any, ...]:
    index = change.new.id if change.new.id is not None else change.old.id
    return (
        ("vanishes", "appears", "").index(change.change),
        -abs(change.points or 0.0),
        -(change.new.share or 0.0),
        index or 0,
    )
