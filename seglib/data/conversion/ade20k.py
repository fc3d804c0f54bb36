"""ADE20K of the scene parsing challenge: ids from 1, and 0 for void.

Reference: Zhou et al. 2017, "Scene Parsing through ADE20K Dataset".
"""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np

from seglib.data.conversion.class_lists import find_class_list
from seglib.data.conversion.foreign import VOID, ForeignDataset, ReadOptions
from seglib.data.conversion.paired_folders import find_folders, read_folders
from seglib.data.dataset import Dataset, default_class_names
from seglib.data.image_io import decode_mask, encode_png, read_mask
from seglib.errors import SegError, UsageError
from seglib.storage.atomic_write import write_bytes, write_text

_LAYOUTS = (("images/{split}", "annotations/{split}"),)
_FOLDERS = {"train": "training", "val": "validation", "test": "testing"}
_LIST = "objectInfo150.txt"
_CLASSES = 150


def recognises(root: Path) -> bool:
    """Whether annotations/training or the list of objects is there."""
    named = (root / _LIST).is_file() or (root / "annotations" / "training").is_dir()
    return named and bool(find_folders(root, _LAYOUTS))


def read(root: Path, options: ReadOptions) -> ForeignDataset:
    """Read masks of 0 … 150; the names are those of the list of objects."""
    classes = options.classes or find_class_list(root, options.voids)
    names = classes.class_names if classes else default_class_names(_CLASSES)

    def decode(encoded: bytes, *, name: str) -> np.ndarray:
        values = decode_mask(encoded, name=name)
        if (largest := int(values.max(initial=0))) > len(names):
            raise SegError(
                f"{name}: the id {largest}, and {len(names)} objects are listed"
            )
        return np.where(values == 0, VOID, values.astype(np.uint16) - 1)

    return read_folders(
        root, _LAYOUTS, decode, ForeignDataset((), names, uncovered=VOID)
    )


def write(dataset: Dataset, out: Path) -> None:
    """Write ids from 1, 0 for void, and objectInfo150.txt."""
    if dataset.num_classes > 255:
        raise UsageError("ADE20K's masks of 8 bits hold at most 255 classes.")
    pixels: Counter[int] = Counter()
    shown = {split: Counter[int]() for split in _FOLDERS}
    for split, pairs in dataset.splits.items():
        images, masks = (
            out / part / _FOLDERS[split] for part in ("images", "annotations")
        )
        images.mkdir(parents=True)
        for pair in pairs:
            shutil.copyfile(pair.image, images / pair.image.name)
            ids = read_mask(pair.mask)
            shifted = np.where(ids == dataset.ignore_index, 0, ids.astype(int) + 1)
            values, counts = np.unique(shifted, return_counts=True)
            pixels.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
            shown[split].update(values.tolist())
            encoded = encode_png(shifted.astype(np.uint8))
            write_bytes(masks / f"{pair.stem}.png", encoded)
    lines = ["Idx\tRatio\tTrain\tVal\tName"]
    for number, name in enumerate(dataset.class_names, start=1):
        ratio = pixels[number] / pixels.total()
        images_of = f"{shown['train'][number]}\t{shown['val'][number]}"
        lines.append(f"{number}\t{ratio:.4f}\t{images_of}\t{name}")
    write_text(out / _LIST, "\n".join([*lines, ""]))
