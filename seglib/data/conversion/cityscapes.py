"""Cityscapes: leftImg8bit/SPLIT/CITY, and gtFine/SPLIT/CITY with ids of 34 labels.

Reference: labels.py of cityscapesScripts, for ids, train ids and colours.
"""

import re
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import numpy as np

from seglib.data.conversion.foreign import (
    VOID,
    ForeignDataset,
    Format,
    ReadOptions,
    mask_at,
)
from seglib.data.conversion.paired_folders import find_folders, require_folders
from seglib.data.conversion.source import Source, images_below
from seglib.data.conversion.writing import read_pairs
from seglib.data.dataset import Dataset
from seglib.data.image_io import decode_mask, read_image, write_image
from seglib.errors import SegError, UsageError, unknown
from seglib.storage.atomic_write import write_bytes

_LAYOUTS = (
    ("leftImg8bit/{split}", "gtFine/{split}"),
    ("leftImg8bit/{split}", "gtCoarse/{split}"),
)
_IMAGE_END = "_leftImg8bit"
_MASK_ENDS = ("_labelTrainIds", "_labelIds")  # the first that is there
_LABELS = 34
_FRAME = re.compile(r"[^_]+_\d{6}_\d{6}")  # city, sequence and frame
_LAST_NUMBER = re.compile(r"\d{1,6}$")
_STRANGE = re.compile(r"[\W_]+")  # in the name of a city
# Name, label id, colour; the train id is the place in this table.
_CLASSES = (
    ("road", 7, (128, 64, 128)),
    ("sidewalk", 8, (244, 35, 232)),
    ("building", 11, (70, 70, 70)),
    ("wall", 12, (102, 102, 156)),
    ("fence", 13, (190, 153, 153)),
    ("pole", 17, (153, 153, 153)),
    ("traffic light", 19, (250, 170, 30)),
    ("traffic sign", 20, (220, 220, 0)),
    ("vegetation", 21, (107, 142, 35)),
    ("terrain", 22, (152, 251, 152)),
    ("sky", 23, (70, 130, 180)),
    ("person", 24, (220, 20, 60)),
    ("rider", 25, (255, 0, 0)),
    ("car", 26, (0, 0, 142)),
    ("truck", 27, (0, 0, 70)),
    ("bus", 28, (0, 60, 100)),
    ("train", 31, (0, 80, 100)),
    ("motorcycle", 32, (0, 0, 230)),
    ("bicycle", 33, (119, 11, 32)),
)


_NAMES = tuple(name for name, _, _ in _CLASSES)


def _recognises(source: Source) -> bool:
    """Whether leftImg8bit and gtFine have a split in common."""
    return bool(find_folders(source.root, _LAYOUTS))


def _read(source: Source, options: ReadOptions) -> ForeignDataset:
    """Read the masks of train ids, or of label ids, whose others are void."""
    if options.classes:
        raise UsageError("Cityscapes has a list of classes of its own, not --classes.")
    palette = tuple(colour for _, _, colour in _CLASSES)
    dataset = ForeignDataset(_NAMES, palette, VOID)
    for split, images_folder, masks_folder in require_folders(source.root, _LAYOUTS):
        masks = images_below(masks_folder)
        kind = f"_{masks_folder.parent.name}"
        paired: set[str] = set()
        for stem, image in images_below(images_folder).items():
            name = stem.removesuffix(_IMAGE_END)
            wanted = [f"{name}{kind}{end}" for end in _MASK_ENDS]
            mask = next((masks[w] for w in wanted if w in masks), None)
            paired.update(wanted)
            short = name.rpartition("/")[2]  # begins with the city
            dataset.add(short, split, image, mask_at(mask, _decode) if mask else None)
        for stem, mask in masks.items():
            if stem.endswith(_MASK_ENDS) and stem not in paired:
                dataset.lose("a mask without its image", source.relative(mask))
    return dataset


def _decode(encoded: bytes, *, name: str) -> np.ndarray:
    values = decode_mask(encoded, name=name)
    lookup = np.full(256, VOID, np.uint16)
    known = {255}  # void, and -1 of the license plates
    if Path(name).stem.endswith(_MASK_ENDS[0]):
        lookup[: len(_CLASSES)] = range(len(_CLASSES))
        known |= set(range(len(_CLASSES)))
    else:
        lookup[[label for _, label, _ in _CLASSES]] = range(len(_CLASSES))
        known |= set(range(_LABELS))
    if strange := set(np.unique(values).tolist()) - known:
        raise SegError(f"{name}: the id {max(strange)} is no label of Cityscapes")
    return lookup[values]


def _write(dataset: Dataset, out: Path) -> dict[str, str]:
    """Write train ids and label ids; images that are no PNG become one."""
    for name in dataset.class_names:
        if name not in _NAMES:
            told = unknown("class of Cityscapes", name, _NAMES)
            raise UsageError(f"{told} Rename the class in dataset.yaml.")
    train_ids = np.full(1 << 16, 255, np.uint8)
    train_ids[: dataset.num_classes] = [*map(_NAMES.index, dataset.class_names)]
    label_ids = np.zeros(256, np.uint8)  # 0: unlabeled
    label_ids[: len(_CLASSES)] = [label for _, label, _ in _CLASSES]
    names = _named_as_frames(
        [pair.stem for pairs in dataset.splits.values() for pair in pairs]
    )
    for split, pair, ids in read_pairs(dataset):
        name = names[pair.stem]
        images, masks = (
            out / part / split / name.partition("_")[0]
            for part in ("leftImg8bit", "gtFine")
        )
        image = images / f"{name}{_IMAGE_END}.png"
        if pair.image.suffix.lower() == ".png":
            write_bytes(image, pair.image.read_bytes())
        else:
            write_image(image, read_image(pair.image))
        values = train_ids[ids]
        write_image(masks / f"{name}_gtFine_labelTrainIds.png", values)
        write_image(masks / f"{name}_gtFine_labelIds.png", label_ids[values])
    return names


def _named_as_frames(stems: Sequence[str]) -> dict[str, str]:
    """CITY_SEQUENCE_FRAME, two numbers of six digits, for each stem.

    >>> _named_as_frames(["bonn_000001_000019", "0006R0_f01470", "a_1", "a1"])
    {'bonn_000001_000019': 'bonn_000001_000019',
     '0006R0_f01470': '0006R0-f_000000_001470',
     'a_1': 'a_000000_000001',
     'a1': 'a_000001_000001'}
    """
    names = {stem: stem for stem in stems if _FRAME.fullmatch(stem)}
    taken = {name.casefold() for name in names}
    for stem in stems:
        if stem in names:
            continue
        number = _LAST_NUMBER.search(stem)
        city = _STRANGE.sub("-", stem[: number.start()] if number else stem).strip("-")
        frame = int(number[0]) if number else 0
        numbered = (f"{city or 'city'}_{i:06d}_{frame:06d}" for i in count())
        names[stem] = next(name for name in numbered if name.casefold() not in taken)
        taken.add(names[stem].casefold())
    return names


CITYSCAPES = Format(
    "leftImg8bit/train/CITY/*_leftImg8bit.png, gtFine/train/CITY/*_gtFine_labelIds.png",
    _recognises,
    _read,
    _write,
)
