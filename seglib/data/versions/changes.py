"""What became of the classes from one version of a dataset to another, as data."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class SplitSide:
    """A split in one version. Pixels are those of the masks that are known."""

    masks: int
    known: int
    pixels: int
    ignored_pixels: int


@dataclass(frozen=True, kw_only=True)
class ClassSide:
    """A class in a split of one version, as far as its masks are known."""

    id: int | None  # None: the version does not have the class
    pixels: int
    share: float | None  # of the pixels that are not ignored; None: of none
    masks: int  # that show it


@dataclass(frozen=True, kw_only=True)
class ClassChange:
    """A class in both versions of a split."""

    name: str
    old: ClassSide
    new: ClassSide
    points: float | None  # of the share; None: unlike parts of the masks are known
    change: Literal["", "appears", "vanishes"]  # beyond doubt


@dataclass(frozen=True, kw_only=True)
class SplitChange:
    """A split in both versions. Its classes: what vanishes, appears, changes most."""

    split: str
    old: SplitSide
    new: SplitSide
    pixels_exact: bool  # all masks that came or went are known
    classes: tuple[ClassChange, ...]

    @property
    def is_known(self) -> bool:
        """Whether every mask of both versions is."""
        return self.old.known == self.old.masks and self.new.known == self.new.masks


@dataclass(frozen=True, kw_only=True)
class ClassDiff:
    """The classes of two versions, split by split."""

    splits: tuple[SplitChange, ...]
    notes: tuple[str, ...] = ()  # what kept more from being known, or needs a look

    @property
    def masks(self) -> tuple[int, int]:
        """Masks of the old and of the new version."""
        sides = [(split.old.masks, split.new.masks) for split in self.splits]
        return sum(old for old, _ in sides), sum(new for _, new in sides)

    @property
    def known(self) -> tuple[int, int]:
        """Those of them whose classes are known."""
        sides = [(split.old.known, split.new.known) for split in self.splits]
        return sum(old for old, _ in sides), sum(new for _, new in sides)
