"""Samples of another format, written under their new names before they have a split."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from seglib.data.conversion.foreign import (
    VOID,
    ForeignDataset,
    ForeignSample,
    Remark,
)
from seglib.data.file_formats import check_size, content_suffix, exif_orientation
from seglib.data.fixing.masks import TURNS
from seglib.data.image_io import IMAGE_SUFFIXES, encode_png, read_bytes
from seglib.errors import SegError
from seglib.plain_text import visible_line
from seglib.storage.files import is_left_behind, normal

_THREADS = 8  # each holds an image and its mask
VOID_ID = 255  # in the files, for up to 255 classes
_LONGEST = 200  # bytes of UTF-8 in a name, of 255 that file systems take


@dataclass(frozen=True)
class StagedSample:
    """A sample whose image and mask are written."""

    name: str
    split: str  # of the source
    image: Path
    mask: Path
    ids: frozenset[int] = frozenset()  # classes it shows
    has_void: bool = False
    remarks: list[Remark] = field(default_factory=list)


def void_id(num_classes: int) -> int:
    """The id of ignored pixels in the files of a dataset."""
    return VOID_ID if num_classes <= VOID_ID else VOID


def stage(
    foreign: ForeignDataset, folder: Path, progress: Callable[[int, int], None]
) -> list[StagedSample]:
    """Write all samples under names of their own into two folders, in their order.

    Renamed and lost ones are told in the notes and problems of `foreign`.

    Args:
        foreign: the dataset.
        folder: gets the two folders.
        progress: called with (samples done, all samples).
    """
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    samples, staged = foreign.samples, []
    names = unique_names([sample.name for sample in samples])
    for sample, name in zip(samples, names, strict=True):
        if name != sample.name.rpartition("/")[2]:
            told = "a name that was not unique, or held unusual characters: renamed"
            foreign.notes.append(Remark(told, f"{sample.name} → {name}"))
    pool = ThreadPoolExecutor(_THREADS)
    try:
        written = pool.map(partial(_try, foreign, folder), samples, names)
        for count, one in enumerate(written, start=1):
            progress(count, len(samples))
            if isinstance(one, Remark):
                foreign.problems.append(one)
            else:
                foreign.notes.extend(one.remarks)
                staged.append(one)
    finally:
        pool.shutdown(cancel_futures=True)
    return staged


def _try(
    foreign: ForeignDataset, folder: Path, sample: ForeignSample, name: str
) -> StagedSample | Remark:
    try:
        return _write(foreign, folder, sample, name)
    except SegError as error:
        told = str(error).rstrip(".")
        place, colon, reason = told.partition(": ")
        if colon and "/" in place:  # the same reason is told once for all files
            return Remark(reason, place)
        return Remark(told, sample.name)


def _write(
    foreign: ForeignDataset, folder: Path, sample: ForeignSample, name: str
) -> StagedSample:
    remarks: list[Remark] = []
    image = sample.image
    encoded = read_bytes(image) if isinstance(image, Path) else image()
    header = check_size(encoded, str(image) if isinstance(image, Path) else name)
    raw, orientation = (header.height, header.width), exif_orientation(encoded)
    upright = raw[::-1] if orientation in TURNS else raw
    if sample.mask:
        ids = sample.mask(upright, remarks)
    else:
        ids = np.full(upright, foreign.uncovered, np.uint16)
    if ids.shape != upright and ids.shape == raw:
        ids = TURNS[orientation](ids)
        remarks.append(Remark("a mask turned as its image, by EXIF", sample.name))
    if ids.shape != upright:
        height, width = ids.shape
        raise SegError(
            f"the annotation is for {height}×{width} pixels, and the image has "
            f"{upright[0]}×{upright[1]}"
        )
    used = frozenset(np.unique(ids).tolist())
    void = void_id(len(foreign.class_names))
    ids = np.where(ids == VOID, np.uint16(void), ids)
    if void == VOID_ID and ids.max(initial=0) <= VOID_ID:
        ids = ids.astype(np.uint8)
    copy = folder / "images" / f"{name}{_suffix(image, encoded)}"
    mask = folder / "masks" / f"{name}.png"
    copy.write_bytes(encoded)
    mask.write_bytes(encode_png(np.ascontiguousarray(ids)))
    has_void = VOID in used
    return StagedSample(
        name, sample.split, copy, mask, used - {VOID}, has_void, remarks
    )


def _suffix(image: Path | Callable[[], bytes], encoded: bytes) -> str:
    """The suffix of an image's name, or of its content."""
    if isinstance(image, Path) and image.suffix.lower() in IMAGE_SUFFIXES:
        return image.suffix
    suffix = content_suffix(encoded)
    if suffix not in IMAGE_SUFFIXES:
        raise SegError(f"an image of a format that is not read ({suffix or 'unknown'})")
    return suffix


def unique_names(names: Sequence[str]) -> list[str]:
    """The last parts of the names; where two are equal, with their folders.

    Names that differ in small and capital letters alone are equal: some file systems
    cannot tell them apart.

    >>> unique_names(["a/1", "b/1", "b/2", "b/2"])
    ['a_1', 'b_1', 'b_2', 'b_2_2']
    """
    short = [_clean(name.rpartition("/")[2]) for name in names]
    counts = Counter(name.casefold() for name in short)
    whole = [
        one
        if counts[one.casefold()] == 1
        else _clean(name.strip("/").replace("/", "_"))
        for one, name in zip(short, names, strict=True)
    ]
    free = Counter(name.casefold() for name in whole)
    taken: set[str] = set()
    unique = []
    for name in whole:
        number, new = 1, name
        while new.casefold() in taken or (number > 1 and new.casefold() in free):
            number += 1
            new = f"{name}_{number}"
        taken.add(new.casefold())
        unique.append(new)
    return unique


def _clean(name: str) -> str:
    """The name without control characters, backslashes, and dots at its beginning."""
    name = normal(name).replace("\\", "_").replace("/", "_")
    name = "".join(c if c == visible_line(c) else "_" for c in name)
    name = name.encode("utf-8", "replace")[-_LONGEST:].decode("utf-8", "ignore")
    return f"_{name.lstrip('.')}" if not name or is_left_behind(name) else name
