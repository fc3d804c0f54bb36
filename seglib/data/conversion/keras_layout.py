"""keras_segmentation's folders: images_prepped_SPLIT and annotations_prepped_SPLIT."""

import shutil
from pathlib import Path

from seglib.data.conversion.foreign import ForeignDataset, ReadOptions
from seglib.data.conversion.paired_folders import find_folders, read_listed
from seglib.data.dataset import Dataset
from seglib.data.image_io import encode_png, read_mask
from seglib.storage.atomic_write import write_bytes, write_text

_LAYOUTS = (("images_prepped_{split}", "annotations_prepped_{split}"),)


def recognises(root: Path) -> bool:
    """Whether the two folders of a split are there."""
    return bool(find_folders(root, _LAYOUTS))


def read(root: Path, options: ReadOptions) -> ForeignDataset:
    """Read masks of ids; `classes.txt`, if there is one, names them."""
    return read_listed(root, _LAYOUTS, options)


def write(dataset: Dataset, out: Path) -> None:
    """Write masks of ids, those of ignored pixels unchanged, and classes.txt."""
    write_text(out / "classes.txt", "\n".join([*dataset.class_names, ""]))
    for split, pairs in dataset.splits.items():
        images, masks = (
            out / f"{part}_prepped_{split}" for part in ("images", "annotations")
        )
        images.mkdir()
        for pair in pairs:
            shutil.copyfile(pair.image, images / pair.image.name)
            encoded = encode_png(read_mask(pair.mask))
            write_bytes(masks / f"{pair.stem}.png", encoded)
