"""The share of the pixels that each class has in two versions of a dataset."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from seglib.data.dataset import SPLITS
from seglib.data.versions.changes import (
    ClassChange,
    ClassDiff,
    ClassSide,
    SplitChange,
    SplitSide,
)
from seglib.data.versions.record import MaskCounts

SplitMasks = Mapping[str, Sequence[str]]  # split -> md5 of each of its masks


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """How a version calls its ids. Without names and a number, every id is a class."""

    class_names: tuple[str, ...] = ()
    num_classes: int = 0
    ignore_index: int | None = None

    @property
    def size(self) -> int:
        """The classes that it lists; 0: unknown."""
        return self.num_classes or len(self.class_names)

    def name(self, index: int) -> str:
        """What people call an id."""
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
    """Compare the classes of two versions.

    Classes are the same where their names are; or their ids, unless both versions name
    their classes.

    Args:
        old: the masks of the old version.
        new: the masks of the new one.
        counts: pixels by id, of those masks that are known.
        vocabularies: of the old version and of the new one.
        notes: of whoever looked for the counts.
    """
    keys = _Keys(vocabularies)
    return ClassDiff(
        splits=tuple(
            _compare_split(split, old.get(split, ()), new.get(split, ()), counts, keys)
            for split in SPLITS
            if split in old or split in new
        ),
        notes=(*notes, *keys.moved()),
    )


def changed_masks(old: SplitMasks, new: SplitMasks) -> set[str]:
    """The masks that came into a split or went from it; a changed one does both."""
    found = (_changed(old.get(s, ()), new.get(s, ())) for s in {*old, *new})
    return set().union(*found)


class _Keys:
    """What makes a class of one version the same as one of the other."""

    def __init__(self, vocabularies: tuple[Vocabulary, Vocabulary]):
        self.vocabularies = vocabularies
        self._by_name = all(v.class_names for v in vocabularies)

    def key(self, side: int, index: int) -> Any:
        return self.vocabularies[side].name(index) if self._by_name else index

    def listed(self, side: int) -> dict[Any, int]:
        """The classes that a version lists, seen or not."""
        vocabulary = self.vocabularies[side]
        ids = (i for i in range(vocabulary.size) if i != vocabulary.ignore_index)
        return {self.key(side, index): index for index in ids}

    def name(self, key: Any) -> str:
        """As the new version calls a class, or else the old one."""
        if self._by_name:
            return str(key)
        newest = self.vocabularies[::-1]
        named = (v for v in newest if key < v.size)
        return next(named, newest[0]).name(key)

    def moved(self) -> list[str]:
        """Names that stand for another id than before: masks must change with them."""
        if not self._by_name:
            return []
        old, new = self.listed(0), self.listed(1)
        moved = [
            f"{name}: {old[name]} → {new[name]}"
            for name in old
            if name in new and new[name] != old[name]
        ]
        text = f"Classes with another id than before: {', '.join(moved)}."
        return [text] if moved else []


@dataclass
class _Tally:
    """What the known masks of a split hold, in one version."""

    masks: int = 0
    known: int = 0
    ignored: int = 0
    ids: dict[Any, int] = field(default_factory=dict)
    pixels: Counter[Any] = field(default_factory=Counter)
    shown: Counter[Any] = field(default_factory=Counter)

    @property
    def counted(self) -> int:
        return self.pixels.total()

    def side(self) -> SplitSide:
        return SplitSide(
            masks=self.masks,
            known=self.known,
            pixels=self.counted + self.ignored,
            ignored_pixels=self.ignored,
        )

    def class_side(self, key: Any) -> ClassSide:
        return ClassSide(
            id=self.ids.get(key),
            pixels=self.pixels[key],
            share=self.pixels[key] / self.counted if self.counted else None,
            masks=self.shown[key],
        )

    @property
    def is_whole(self) -> bool:
        """Whether there are masks, and all of them are known."""
        return 0 < self.masks == self.known

    def lacks(self, key: Any) -> bool:
        """Whether beyond doubt no mask shows it."""
        return self.is_whole and not self.pixels[key]


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
    changed = _changed(old, new)
    # A part and the whole, or two parts, differ for no other reason than that.
    alike = (before.is_whole and after.is_whole) or not changed
    rows = [
        _compare_class(key, before, after, keys, alike=alike)
        for key in dict.fromkeys((*after.ids, *before.ids))
    ]
    return SplitChange(
        split=split,
        old=before.side(),
        new=after.side(),
        pixels_exact=changed <= counts.keys(),
        classes=tuple(sorted(rows, key=_rank)),
    )


def _changed(old: Sequence[str], new: Sequence[str]) -> set[str]:
    before, after = Counter(old), Counter(new)
    return {*(before - after), *(after - before)}


def _tally(masks: Sequence[str], counts: MaskCounts, keys: _Keys, side: int) -> _Tally:
    tally = _Tally(masks=len(masks), ids=keys.listed(side))
    ignored = keys.vocabularies[side].ignore_index
    for ids in (counts[md5] for md5 in masks if md5 in counts):
        tally.known += 1
        for index, pixels in ids.items():
            if index == ignored:
                tally.ignored += pixels
                continue
            key = keys.key(side, index)
            tally.ids.setdefault(key, index)
            tally.pixels[key] += pixels
            tally.shown[key] += 1
    return tally


def _compare_class(
    key: Any, before: _Tally, after: _Tally, keys: _Keys, *, alike: bool
) -> ClassChange:
    old, new = before.class_side(key), after.class_side(key)
    change: Literal["", "appears", "vanishes"] = ""
    if new.pixels and before.lacks(key):
        change = "appears"
    elif old.pixels and after.lacks(key):
        change = "vanishes"
    points = None
    if alike and old.share is not None and new.share is not None:
        points = 100 * (new.share - old.share)
    return ClassChange(
        name=keys.name(key), old=old, new=new, points=points, change=change
    )


def _rank(change: ClassChange) -> tuple[Any, ...]:
    index = change.new.id if change.new.id is not None else change.old.id
    return (
        ("vanishes", "appears", "").index(change.change),
        -abs(change.points or 0.0),
        -(change.new.share or 0.0),
        index or 0,
    )
