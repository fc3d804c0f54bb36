"""Formats of two folders: images, and masks of the same names."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from seglib.data.conversion.class_lists import find_class_list
from seglib.data.conversion.foreign import (
    Draw,
    ForeignDataset,
    ForeignSample,
    ReadOptions,
    Remark,
    mask_file,
)
from seglib.data.conversion.masks import MaskReader
from seglib.data.conversion.source_files import SPLIT_NAMES, images_below
from seglib.data.file_formats import max_file_bytes
from seglib.data.pairing import mask_names
from seglib.errors import DatasetError, SegError
from seglib.storage.files import read_file

Layouts = Sequence[tuple[str, str]]  # folders of images and masks, with {split}


class ReadMask(Protocol):
    """Decodes the content of a mask file to ids and `VOID`."""

    def __call__(self, encoded: bytes, *, name: str) -> np.ndarray: ...


class SplitFolders(NamedTuple):
    """The two folders of a split; "": the source has no splits."""

    split: str
    images: Path
    masks: Path


def find_folders(root: Path, layouts: Layouts) -> list[SplitFolders]:
    """The folders of the first layout of which there are any."""
    for images, masks in layouts:
        found = [
            SplitFolders(split, root / images_of, root / masks_of)
            for split, name in _splits(images)
            if (root / (images_of := images.format(split=name))).is_dir()
            and (root / (masks_of := masks.format(split=name))).is_dir()
        ]
        if found:
            return found
    return []


def _splits(template: str) -> Iterator[tuple[str, str]]:
    if "{split}" not in template:
        yield "", ""
        return
    for split, names in SPLIT_NAMES.items():
        for name in names:
            yield split, name


def read_folders(
    root: Path, layouts: Layouts, read_mask: ReadMask, dataset: ForeignDataset
) -> ForeignDataset:
    """Pair the files of all splits, and add them to a dataset.

    Masks may have other names than their images, if one pattern tells these.
    """
    found = find_folders(root, layouts)
    if not found:
        expected = " or ".join(f"{i}/ and {m}/" for i, m in layouts)
        raise DatasetError(f"{root}: expected {expected}.")
    samples: list[ForeignSample] = []
    for split, images_folder, masks_folder in found:
        images, masks = images_below(images_folder), images_below(masks_folder)
        patterns = mask_names(images, masks)
        if len(patterns) > 1:
            told = " or ".join(str(pattern) for pattern, _ in patterns[:3])
            raise DatasetError(
                f"{masks_folder}: {told}. Move the masks that are not meant out of it."
            )
        for lonely, stem in patterns[0][1].items() if patterns else ():
            masks.setdefault(stem, masks.pop(lonely))
        for name, image in images.items():
            draw = mask_at(masks.pop(name), read_mask) if name in masks else None
            samples.append(ForeignSample(name, split, image, draw))
        for mask in masks.values():
            where = mask.relative_to(root).as_posix()
            dataset.problems.append(Remark("a mask without its image", where))
    return replace(dataset, samples=samples)


def mask_at(path: Path, read_mask: ReadMask) -> Draw:
    """What makes the mask of a file."""
    return mask_file(partial(read_bytes, path), partial(read_mask, name=str(path)))


def read_bytes(path: Path) -> bytes:
    """The content of an image or a mask; a SegError if it cannot be read."""
    try:
        return read_file(path, max_bytes=max_file_bytes())
    except OSError as error:
        raise SegError(f"{path}: cannot be read ({error.strerror})") from error


def read_listed(root: Path, layouts: Layouts, options: ReadOptions) -> ForeignDataset:
    """Read folders of masks of colours or ids, by a list of classes if there is one."""
    classes = options.classes or find_class_list(root, options.voids)
    names, palette = (classes.class_names, classes.palette) if classes else ((), ())
    empty = ForeignDataset((), names, palette)
    reader = MaskReader(classes, ignored=options.ignore_index)
    return read_folders(root, layouts, reader, empty)
