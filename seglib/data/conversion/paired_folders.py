"""Formats of two folders, of images and of masks of the same names.

Two of them are here: masks of colours or ids with a list of classes beside them
(CamVid's layouts, Mapillary's, and the common `images` and `masks`), and
keras_segmentation's images_prepped_SPLIT and annotations_prepped_SPLIT.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from seglib.config import MAX_CLASSES
from seglib.data.conversion.class_lists import ClassList, Colour
from seglib.data.conversion.foreign import (
    ForeignDataset,
    Format,
    ReadMask,
    ReadOptions,
    mask_at,
)
from seglib.data.conversion.masks import read_by_list
from seglib.data.conversion.source import SPLIT_NAMES, Source, images_below
from seglib.data.conversion.writing import copied, free_colour
from seglib.data.dataset import Dataset
from seglib.data.image_io import (
    IMAGE_SUFFIXES,
    decode_samples,
    read_bytes,
    write_image,
)
from seglib.data.pairing import mask_names
from seglib.errors import DatasetError
from seglib.storage.atomic_write import write_text
from seglib.storage.files import read_file

Layouts = Sequence[tuple[str, str]]  # folders of images and masks, with {split}

_MASKS = ("masks", "labels", "annotations", "gt", "SegmentationClass", "labels_colored")
_COLOURS = (
    ("{split}", "{split}_labels"),  # CamVid
    ("{split}", "{split}annot"),  # CamVid of SegNet
    ("{split}/images", "{split}/v1.2/labels"),  # Mapillary
    ("{split}/images", "{split}/v2.0/labels"),
    *(
        (f"{{split}}/{i}", f"{{split}}/{m}")
        for i, m in product(("images", "image"), _MASKS)
    ),
    *(("images/{split}", f"{m}/{{split}}") for m in _MASKS),
    *((i, m) for i, m in product(("images", "701_StillsRaw_full"), _MASKS)),
    ("{split}", "{split}"),  # images and masks side by side
    ("", ""),
)
_KERAS = (("images_prepped_{split}", "annotations_prepped_{split}"),)
FROM_MASKS = "from-masks"  # in place of a list of classes
_MASK_WORD = re.compile(r"[_-](?:mask|masks|label|labels|gt|seg|annotation)$", re.I)
_VOID_COLOURS = ((0, 0, 0), (255, 255, 255), (224, 224, 192))


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
            and (images != masks or any(side_by_side(root / images_of)))
        ]
        if found:
            return found
    return []


def require_folders(root: Path, layouts: Layouts) -> list[SplitFolders]:
    """As `find_folders`; a DatasetError if there are none."""
    if found := find_folders(root, layouts):
        return found
    expected = " or ".join(f"{i}/ and {m}/" for i, m in layouts)
    raise DatasetError(f"{root}: expected {expected}.")


def _splits(template: str) -> Iterator[tuple[str, str]]:
    if "{split}" not in template:
        yield "", ""
        return
    for split, names in SPLIT_NAMES.items():
        for name in names:
            yield split, name


def add_folders(
    dataset: ForeignDataset, source: Source, layouts: Layouts, read_mask: ReadMask
) -> ForeignDataset:
    """Pair the files of all splits, and add them to a dataset, which is given back.

    Masks may have other names than their images, if one pattern tells these.
    """
    listed = split_lists(source.root)
    for split, images_folder, masks_folder in require_folders(source.root, layouts):
        if images_folder == masks_folder:
            images, masks = side_by_side(images_folder)
        else:
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
            dataset.add(name, split or listed.get(image.stem, ""), image, draw)
        for mask in masks.values():
            dataset.lose("a mask without its image", source.relative(mask))
    return dataset


def side_by_side(folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """The images and the masks of one folder, by the images' stems.

    A mask has its image's stem and is a PNG beside a photograph, or it has a stem that
    ends in a word such as `_mask`.
    """
    files = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    photographs = {f.stem: f for f in files if f.suffix.lower() in (".jpg", ".jpeg")}
    masks = {f.stem: f for f in files if f.suffix.lower() == ".png"}
    same = photographs.keys() & masks.keys()
    if same:
        return photographs, {stem: masks[stem] for stem in same}
    images = {path.stem: path for path in files}
    masks = {
        stem: path
        for path in files
        if (stem := _MASK_WORD.sub("", path.stem)) != path.stem and stem in images
    }
    for path in masks.values():
        images.pop(path.stem)
    return (images, masks) if masks else ({}, {})


def split_lists(root: Path) -> dict[str, str]:
    """The split of each stem, by lists such as train.txt: a name or a path a line."""
    found: dict[str, str] = {}
    for split, names in SPLIT_NAMES.items():
        for file in (root / f"{name}.txt" for name in names):
            text = read_file(file).decode(errors="replace") if file.is_file() else ""
            for words in filter(None, map(str.split, text.splitlines())):
                found[PurePosixPath(words[0]).stem] = split
    return found


def found_layout(root: Path) -> tuple[list[Path], str]:
    """The masks of a folder of images and masks, and its layout in words."""
    folders = require_folders(root, _COLOURS)
    masks: list[Path] = []
    for _, images, labels in folders:
        is_one = images == labels
        found = side_by_side(images)[1] if is_one else images_below(labels)
        masks += found.values()
    _, images, labels = folders[0]
    if images == labels:
        return masks, "images and masks side by side in one folder"
    pair = (
        f"images in {images.relative_to(root)}/, masks in {labels.relative_to(root)}/"
    )
    return masks, pair


def classes_of_masks(root: Path) -> ClassList:
    """A class for each colour in the masks of a folder, the first one the most common.

    Raises:
        DatasetError: too many colours, as smoothed or JPEG masks have.
    """
    counts: Counter[Colour] = Counter()
    for path in found_layout(root)[0]:
        samples = decode_samples(read_bytes(path), name=str(path))
        pixels = samples.reshape(-1, samples.shape[-1])[:, :3]
        found, numbers = np.unique(pixels, axis=0, return_counts=True)
        for (red, green, blue), number in zip(found.tolist(), numbers, strict=True):
            counts[red, green, blue] += int(number)
        if len(counts) > MAX_CLASSES:
            raise DatasetError(
                f"{path}: with it the masks have {len(counts):,} colours. Expected "
                f"one a class, at most {MAX_CLASSES}; smoothed masks and JPEGs have "
                "more. Write a list of classes, and name it by --classes."
            )
    colours = tuple(colour for colour, _ in counts.most_common())
    return ClassList(
        tuple(f"colour_{r:02x}{g:02x}{b:02x}" for r, g, b in colours), colours
    )


def _recognises(source: Source, *, layouts: Layouts) -> bool:
    return bool(find_folders(source.root, layouts))


def _read(source: Source, options: ReadOptions, *, layouts: Layouts) -> ForeignDataset:
    """Read the first of the layouts that is there, by a list of classes if any."""
    dataset, reader = read_by_list(source, options)
    return add_folders(dataset, source, layouts, reader)


def _write_colours(dataset: Dataset, out: Path) -> None:
    """Write images/SPLIT, masks/SPLIT and class_dict.csv; the void is a colour, too."""
    void = free_colour(dataset, _VOID_COLOURS)
    table = np.zeros((1 << 16, 3), np.uint8)
    table[: dataset.num_classes] = dataset.palette
    named = zip(dataset.class_names, dataset.palette, strict=True)
    rows = [("name", "r", "g", "b"), *((name, *colour) for name, colour in named)]
    if dataset.ignore_index is not None:
        table[dataset.ignore_index] = void
        rows.append(("void", *void))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(out / "class_dict.csv", text.getvalue())
    for split, pair, ids in copied(dataset, lambda split: out / "images" / split):
        write_image(out / "masks" / split / f"{pair.stem}.png", table[ids])


def _write_keras(dataset: Dataset, out: Path) -> None:
    """Write masks of ids, those of ignored pixels unchanged, and classes.txt."""
    write_text(out / "classes.txt", "\n".join([*dataset.class_names, ""]))
    for split, pair, ids in copied(dataset, lambda s: out / f"images_prepped_{s}"):
        write_image(out / f"annotations_prepped_{split}" / f"{pair.stem}.png", ids)


COLOURS = Format(
    "class_dict.csv (or label_colors.txt, labelmap.txt, config.json), and "
    "images/, masks/ or train/, train_labels/",
    partial(_recognises, layouts=_COLOURS),
    partial(_read, layouts=_COLOURS),
    _write_colours,
)
KERAS_SEGMENTATION = Format(
    "images_prepped_train/, annotations_prepped_train/",
    partial(_recognises, layouts=_KERAS),
    partial(_read, layouts=_KERAS),
    _write_keras,
)
