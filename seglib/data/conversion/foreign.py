"""A dataset of another format, as its reader gives it: classes, and samples to open."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seglib.data.conversion.class_lists import ClassList, Colour

VOID = 65_535  # in the masks of readers: not counted
BACKGROUND = "background"
BACKGROUNDS = frozenset({BACKGROUND, "_background_"})  # names of what no shape covers

Size = tuple[int, int]  # (height, width)


def with_void(ids: np.ndarray, ignored: int | None) -> np.ndarray:
    """Ids, uint16, with `VOID` in place of the ignored one."""
    ids = ids.astype(np.uint16)
    return ids if ignored is None else np.where(ids == ignored, np.uint16(VOID), ids)


class Remark(NamedTuple):
    """What was left out, or done otherwise than the source says, and where."""

    what: str
    where: str


Draw = Callable[[Size, list[Remark]], np.ndarray]


def mask_file(read: Callable[[], bytes], decode: Callable[[bytes], np.ndarray]) -> Draw:
    """What makes the mask of a file, which tells its own size."""
    return lambda _size, _remarks: decode(read())


@dataclass(frozen=True)
class ForeignSample:
    """An image with its mask, neither of them opened.

    Args:
        name: in the source, posix, without suffix.
        split: train, val or test; "": the source has no splits.
        image: its file, or a function that gives the bytes of one.
        mask: makes the mask, uint8 or uint16 (H, W) of ids and `VOID`, for the size
            that the upright image has; adds remarks. None: not labelled.
    """

    name: str
    split: str
    image: Path | Callable[[], bytes]
    mask: Draw | None


@dataclass(frozen=True)
class ForeignDataset:
    """Classes in id order ("": the ids tell their number), and samples."""

    samples: Sequence[ForeignSample]
    class_names: tuple[str, ...] = ()
    palette: tuple[Colour, ...] = ()
    notes: list[Remark] = field(default_factory=list)
    problems: list[Remark] = field(default_factory=list)  # samples that are lost
    uncovered: int = 0  # id of an image without annotation


@dataclass(frozen=True)
class ReadOptions:
    """What a source may leave open.

    Args:
        classes: names, and perhaps colours; None: the source's own.
        voids: names of classes whose pixels are ignored, in small letters.
        uncovered_is_void: pixels of no shape are ignored, not background.
        ignore_index: id of ignored pixels in masks of ids; None: the source's own.
    """

    classes: ClassList | None
    voids: frozenset[str]
    uncovered_is_void: bool = False
    ignore_index: int | None = None
