"""A dataset of another format, as its reader gives it, and what a format can do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from seglib.data.conversion.class_lists import ClassList, Colour
from seglib.data.conversion.source import Source
from seglib.data.dataset import Dataset
from seglib.data.image_io import read_bytes
from seglib.errors import UsageError

VOID = 65_535  # in the masks of readers: not counted
BACKGROUND = "background"
BACKGROUNDS = frozenset({BACKGROUND, "_background_"})  # names of what no shape covers

Size = tuple[int, int]  # (height, width)


class Remark(NamedTuple):
    """What was left out, or done otherwise than the source says, and where."""

    what: str
    where: str


Draw = Callable[[Size, list[Remark]], np.ndarray]


class ReadMask(Protocol):
    """Decodes the content of a mask file to ids and `VOID`."""

    def __call__(self, encoded: bytes, *, name: str) -> np.ndarray: ...


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

    class_names: tuple[str, ...] = ()
    palette: tuple[Colour, ...] = ()
    uncovered: int = 0  # id of an image without annotation
    samples: list[ForeignSample] = field(default_factory=list)
    notes: list[Remark] = field(default_factory=list)
    problems: list[Remark] = field(default_factory=list)  # samples that are lost

    def add(
        self,
        name: str,
        split: str,
        image: Path | Callable[[], bytes],
        mask: Draw | None,
    ) -> None:
        """Add a sample; see `ForeignSample`."""
        self.samples.append(ForeignSample(name, split, image, mask))

    def lose(self, what: str | Exception, where: str) -> None:
        """Tell a sample that is lost."""
        self.problems.append(Remark(str(what), where))


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


@dataclass(frozen=True)
class Format:
    """A format.

    files: tells people what its folder holds.
    write: a dataset into a folder; gives the names that it changes, new by old. None:
        of this library's own format, in which each conversion begins.
    """

    files: str
    recognises: Callable[[Source], bool]
    read: Callable[[Source, ReadOptions], ForeignDataset]
    write: Callable[[Dataset, Path], Mapping[str, str] | None] | None = None
    require_library: Callable[[], object] = bool  # asked before the work


def with_void(ids: np.ndarray, ignored: int | None) -> np.ndarray:
    """Ids, uint16, with `VOID` in place of the ignored one."""
    ids = ids.astype(np.uint16)
    return ids if ignored is None else np.where(ids == ignored, np.uint16(VOID), ids)


def mask_at(path: Path, decode: ReadMask) -> Draw:
    """What makes the mask of a file, which tells its own size."""
    return lambda _size, _remarks: decode(read_bytes(path), name=str(path))


def optional_library(name: str, reads: str) -> Any:
    """A module of the extra `convert`; a UsageError if it is not installed."""
    try:
        return import_module(name)
    except ImportError as error:
        raise UsageError(
            f"{reads} by {name.partition('.')[0]}, which is not installed: "
            "pip install 'seglib[convert]'"
        ) from error
