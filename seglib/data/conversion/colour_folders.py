"""Folders of masks of colours, or of ids, with a list of classes beside them.

CamVid's layouts, Mapillary's, and the common `images` and `masks`.
"""

import csv
import io
import shutil
from itertools import product
from pathlib import Path

import numpy as np

from seglib.data.conversion.foreign import ForeignDataset, ReadOptions
from seglib.data.conversion.paired_folders import find_folders, read_listed
from seglib.data.dataset import Dataset
from seglib.data.image_io import encode_png, read_mask
from seglib.errors import UsageError
from seglib.storage.atomic_write import write_bytes, write_text

_MASKS = ("masks", "labels", "annotations", "gt", "SegmentationClass", "labels_colored")
LAYOUTS = (
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
)
_VOID_COLOURS = ((0, 0, 0), (255, 255, 255), (224, 224, 192))


def recognises(root: Path) -> bool:
    """Whether two such folders are there."""
    return bool(find_folders(root, LAYOUTS))


def read(root: Path, options: ReadOptions) -> ForeignDataset:
    """Read the first of the layouts that is there."""
    return read_listed(root, LAYOUTS, options)


def write(dataset: Dataset, out: Path) -> None:
    """Write images/SPLIT, masks/SPLIT and class_dict.csv; the void is a colour, too."""
    palette = list(dataset.palette)
    if len(set(palette)) < len(palette):
        raise UsageError("Two classes have one colour: change `palette`, dataset.yaml.")
    table = np.zeros((1 << 16, 3), np.uint8)
    table[: len(palette)] = palette
    rows = [(n, *c) for n, c in zip(dataset.class_names, palette, strict=True)]
    if dataset.ignore_index is not None:
        void = next(colour for colour in _VOID_COLOURS if colour not in palette)
        table[dataset.ignore_index] = void
        rows.append(("void", *void))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("name", "r", "g", "b"), *rows])
    write_text(out / "class_dict.csv", text.getvalue())
    for split, pairs in dataset.splits.items():
        (out / "images" / split).mkdir(parents=True)
        for pair in pairs:
            shutil.copyfile(pair.image, out / "images" / split / pair.image.name)
            colours = encode_png(table[read_mask(pair.mask)])
            write_bytes(out / "masks" / split / f"{pair.stem}.png", colours)
