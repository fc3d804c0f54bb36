"""Samples of another format, written under their new names before they have a split."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from seglib.data.conversion.foreign import (
    VOID,
    ForeignDataset,
    ForeignSample,
    Remark,
)
from seglib.data.conversion.paired_folders import read_bytes
from seglib.data.file_formats import check_size, content_suffix, exif_orientation
from seglib.data.fixing.masks import TURNS
from seglib.data.image_io import IMAGE_SUFFIXES, encode_png
from seglib.errors import SegError

_THREADS = 8  # each holds an image and its mask
VOID_ID = 255  # in the files, for up to 255 classes


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


class Staging:
    """Writes samples into two folders.

    Args:
        foreign: the dataset.
        folder: for the files.
    """

    def __init__(self, foreign: ForeignDataset, folder: Path):
        self._images, self._masks = folder / "images", folder / "masks"
        self._images.mkdir()
        self._masks.mkdir()
        self._foreign = foreign
        self._void_id = void_id(len(foreign.class_names))

    def write(
        self, names: Sequence[str], progress: Callable[[int, int], None]
    ) -> Iterator[StagedSample | Remark]:
        """Write all samples, in their order; a remark in place of a lost one."""
        samples = self._foreign.samples
        pool = ThreadPoolExecutor(_THREADS)
        try:
            done = pool.map(self._try, samples, names)
            for count, staged in enumerate(done, start=1):
                progress(count, len(samples))
                yield staged
        finally:
            pool.shutdown(cancel_futures=True)

    def _try(self, sample: ForeignSample, name: str) -> StagedSample | Remark:
        try:
            return self._write(sample, name)
        except SegError as error:
            told = str(error).rstrip(".")
            place, colon, reason = told.partition(": ")
            if colon and "/" in place:  # the same reason is told once for all files
                return Remark(reason, place)
            return Remark(told, sample.name)

    def _write(self, sample: ForeignSample, name: str) -> StagedSample:
        remarks: list[Remark] = []
        image = sample.image
        encoded = read_bytes(image) if isinstance(image, Path) else image()
        header = check_size(encoded, str(image) if isinstance(image, Path) else name)
        raw, orientation = (header.height, header.width), exif_orientation(encoded)
        upright = raw[::-1] if orientation in TURNS else raw
        if sample.mask:
            ids = sample.mask(upright, remarks)
        else:
            ids = np.full(upright, self._foreign.uncovered, np.uint16)
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
        ids = np.where(ids == VOID, np.uint16(self._void_id), ids)
        if self._void_id == VOID_ID and ids.max(initial=0) <= VOID_ID:
            ids = ids.astype(np.uint8)
        copy = self._images / f"{name}{_suffix(image, encoded)}"
        mask = self._masks / f"{name}.png"
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
