"""ADE20K of the scene parsing challenge: ids from 1, and 0 for void.

Reference: Zhou et al. 2017, "Scene Parsing through ADE20K Dataset".
"""

from collections import Counter
from pathlib import Path

import numpy as np

from seglib.data.conversion.class_lists import find_class_list
from seglib.data.conversion.foreign import VOID, ForeignDataset, Format, ReadOptions
from seglib.data.conversion.paired_folders import add_folders, find_folders
from seglib.data.conversion.source import Source
from seglib.data.conversion.writing import copied, require_at_most
from seglib.data.dataset import Dataset, default_class_names
from seglib.data.image_io import decode_mask, write_image
from seglib.errors import SegError
from seglib.storage.atomic_write import write_text

_LAYOUTS = (("images/{split}", "annotations/{split}"),)
_FOLDERS = {"train": "training", "val": "validation", "test": "testing"}
_LIST = "objectInfo150.txt"
_CLASSES = 150


def _recognises(source: Source) -> bool:
    """Whether annotations/training or the list of objects is there."""
    root = source.root
    named = (root / _LIST).is_file() or (root / "annotations" / "training").is_dir()
    return named and bool(find_folders(root, _LAYOUTS))


def _read(source: Source, options: ReadOptions) -> ForeignDataset:
    """Read masks of 0 … 150; the names are those of the list of objects."""
    classes = options.classes or find_class_list(source.root, options.voids)
    names = classes.class_names if classes else default_class_names(_CLASSES)

    def decode(encoded: bytes, *, name: str) -> np.ndarray:
        values = decode_mask(encoded, name=name)
        if (largest := int(values.max(initial=0))) > len(names):
            raise SegError(
                f"{name}: the id {largest}, and {len(names)} objects are listed"
            )
        return np.where(values == 0, VOID, values.astype(np.uint16) - 1)

    return add_folders(ForeignDataset(names, (), VOID), source, _LAYOUTS, decode)


def _write(dataset: Dataset, out: Path) -> None:
    """Write ids from 1, 0 for void, and objectInfo150.txt."""
    require_at_most(dataset, "ADE20K")
    pixels: Counter[int] = Counter()
    shown = {split: Counter[int]() for split in _FOLDERS}
    for split, pair, ids in copied(dataset, lambda s: out / "images" / _FOLDERS[s]):
        shifted = np.where(ids == dataset.ignore_index, 0, ids.astype(int) + 1)
        values, counts = np.unique(shifted, return_counts=True)
        pixels.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        shown[split].update(values.tolist())
        path = out / "annotations" / _FOLDERS[split] / f"{pair.stem}.png"
        write_image(path, shifted.astype(np.uint8))
    lines = ["Idx\tRatio\tTrain\tVal\tName"]
    for number, name in enumerate(dataset.class_names, start=1):
        ratio = pixels[number] / pixels.total()
        images_of = f"{shown['train'][number]}\t{shown['val'][number]}"
        lines.append(f"{number}\t{ratio:.4f}\t{images_of}\t{name}")
    write_text(out / _LIST, "\n".join([*lines, ""]))


ADE20K = Format(
    "images/training/, annotations/training/, objectInfo150.txt",
    _recognises,
    _read,
    _write,
)
