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

    def key(self, index: int, *, by_name: bool) -> Any:
        """What makes a class the same as one of another version."""
        return self.name(index) if by_name else index

    def listed(self, *, by_name: bool) -> dict[Any, int]:
        """The ids of the listed classes by key, whether or not a mask shows them."""
        ids = (index for index in range(self.size) if index != self.ignore_index)
        return {self.key(index, by_name=by_name): index for index in ids}


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
        counts: pixels by id, of those masks that are counted.
        vocabularies: of the old version and of the new one.
        notes: go before those of this function.
    """
    by_name = all(vocabulary.class_names for vocabulary in vocabularies)
    every = [[md5 for masks in side.values() for md5 in masks] for side in (old, new)]
    missing = [sum(md5 not in counts for md5 in masks) for masks in every]

    def tally(split: str, side: int) -> _Tally:
        masks = (old, new)[side].get(split, ())
        return _tally(masks, counts, vocabularies[side], by_name=by_name)

    splits = [
        _compare_split(split, tally(split, 0), tally(split, 1), vocabularies)
        for split in SPLITS
        if (split in old or split in new) and not any(missing)
    ]
    return ClassDiff(
        masks=(len(every[0]), len(every[1])),
        uncounted=(missing[0], missing[1]),
        splits=tuple(splits),
        notes=(*notes, *(_moved(*vocabularies) if by_name else ())),
    )


def _moved(old: Vocabulary, new: Vocabulary) -> Iterator[str]:
    """A note on names that stand for another id than before."""
    before, after = (vocabulary.listed(by_name=True) for vocabulary in (old, new))
    moved = [
        f"{name}: {index} → {after[name]}"
        for name, index in before.items()
        if after.get(name, index) != index
    ]
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
    before: _Tally,
    after: _Tally,
    vocabularies: tuple[Vocabulary, Vocabulary],
) -> SplitChange:
    def name(key: Any) -> str:
        """The new version's name of a class, or else the old one's."""
        if isinstance(key, str):
            return key
        old, new = vocabularies
        return (old if new.size <= key < old.size else new).name(key)

    classes = [
        _compare_class(name(key), before.class_side(key), after.class_side(key))
        for key in dict.fromkeys((*after.ids, *before.ids))
    ]
    return SplitChange(
        split=split,
        old=before.side(),
        new=after.side(),
        classes=tuple(sorted(classes, key=_rank)),
    )


def _tally(
    masks: Sequence[str], counts: MaskCounts, vocabulary: Vocabulary, *, by_name: bool
) -> _Tally:
    tally = _Tally(masks=len(masks), ids=vocabulary.listed(by_name=by_name))
    for index, pixels in (item for md5 in masks for item in counts[md5].items()):
        if index == vocabulary.ignore_index:
            tally.ignored += pixels
            continue
        key = vocabulary.key(index, by_name=by_name)
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
