"""The format of this library, as a source: for other splits, and for other formats."""

from functools import partial

import numpy as np

from seglib.data.conversion.foreign import (
    ForeignDataset,
    Format,
    ReadOptions,
    mask_at,
    with_void,
)
from seglib.data.conversion.source import Source
from seglib.data.dataset import SPLITS, scan_dataset
from seglib.data.image_io import decode_mask
from seglib.data.pairing import has_split
from seglib.errors import DatasetError, UsageError


def _recognises(source: Source) -> bool:
    """Whether a folder of images or masks of a split is there."""
    return any(has_split(source.root, split) for split in SPLITS)


def _read(source: Source, options: ReadOptions) -> ForeignDataset:
    """Read all pairs; files without a partner are told."""
    root = source.root
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
    result = ForeignDataset(names, palette)
    for problem in scan.problems:
        result.lose(problem.reason, problem.path.name)
    decode = partial(_decode, ignored=dataset.ignore_index)
    for split, pairs in dataset.splits.items():
        for pair in pairs:
            result.add(pair.stem, split, pair.image, mask_at(pair.mask, decode))
    return result


def _decode(encoded: bytes, *, name: str, ignored: int | None) -> np.ndarray:
    return with_void(decode_mask(encoded, name=name), ignored)


SEGLIB = Format("train_images/, train_segmentation/", _recognises, _read)
