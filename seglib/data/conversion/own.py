"""The format of this library, as a source: for other splits, and for other formats."""

from functools import partial
from pathlib import Path

import numpy as np

from seglib.data.conversion.foreign import (
    Draw,
    ForeignDataset,
    ForeignSample,
    ReadOptions,
    Remark,
    mask_file,
    with_void,
)
from seglib.data.conversion.paired_folders import read_bytes
from seglib.data.dataset import SPLITS, scan_dataset
from seglib.data.image_io import decode_mask
from seglib.data.pairing import has_split
from seglib.errors import DatasetError, UsageError


def recognises(root: Path) -> bool:
    """Whether a folder of images or masks of a split is there."""
    return any(has_split(root, split) for split in SPLITS)


def read(root: Path, options: ReadOptions) -> ForeignDataset:
    """Read all pairs; files without a partner are told."""
    scan = scan_dataset(root, ignore_index=options.ignore_index)
    dataset = scan.dataset
    if dataset.others:
        raise DatasetError(
            f"{root}: it has further inputs ({', '.join(dataset.others)}), which only "
            "this format holds and converting doesn't carry over."
        )
    if options.classes and scan.knows_classes:
        raise UsageError(f"{root}: its dataset.yaml lists the classes, not --classes.")
    names, palette = dataset.class_names, dataset.palette
    if options.classes:
        names, palette = options.classes.class_names, options.classes.palette
    elif not scan.knows_classes:
        names, palette = (), ()
    elif not scan.has_palette:
        palette = ()
    problems = [Remark(p.reason, p.path.name) for p in scan.problems]
    samples = [
        ForeignSample(
            pair.stem,
            split,
            pair.image,
            _draw(pair.mask, dataset.ignore_index),
        )
        for split, pairs in dataset.splits.items()
        for pair in pairs
    ]
    return ForeignDataset(samples, names, palette, [], problems)


def _draw(path: Path, ignored: int | None) -> Draw:
    def decode(encoded: bytes) -> np.ndarray:
        return with_void(decode_mask(encoded, name=str(path)), ignored)

    return mask_file(partial(read_bytes, path), decode)
