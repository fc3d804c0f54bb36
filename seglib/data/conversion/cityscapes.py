"""Cityscapes: leftImg8bit/SPLIT/CITY, and gtFine/SPLIT/CITY with ids of 34 labels.

Reference: labels.py of cityscapesScripts, for ids, train ids and colours.
"""

from pathlib import Path

import numpy as np

from seglib.data.conversion.foreign import (
    VOID,
    ForeignDataset,
    ForeignSample,
    ReadOptions,
    Remark,
)
from seglib.data.conversion.paired_folders import find_folders, mask_at
from seglib.data.conversion.source_files import images_below
from seglib.data.image_io import decode_mask
from seglib.errors import DatasetError, SegError, UsageError

_LAYOUTS = (
    ("leftImg8bit/{split}", "gtFine/{split}"),
    ("leftImg8bit/{split}", "gtCoarse/{split}"),
)
_IMAGE_END = "_leftImg8bit"
_MASK_ENDS = ("_labelTrainIds", "_labelIds")  # the first that is there
_LABELS = 34
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


def recognises(root: Path) -> bool:
    """Whether leftImg8bit and gtFine have a split in common."""
    return bool(find_folders(root, _LAYOUTS))


def read(root: Path, options: ReadOptions) -> ForeignDataset:
    """Read the masks of train ids, or of label ids, whose others are void."""
    if options.classes:
        raise UsageError("Cityscapes has a list of classes of its own, not --classes.")
    names = tuple(name for name, _, _ in _CLASSES)
    palette = tuple(colour for _, _, colour in _CLASSES)
    dataset = ForeignDataset((), names, palette)
    samples: list[ForeignSample] = []
    found = find_folders(root, _LAYOUTS)
    if not found:
        raise DatasetError(f"{root}: expected leftImg8bit/train/ and gtFine/train/.")
    for split, images_folder, masks_folder in found:
        masks = images_below(masks_folder)
        kind = f"_{masks_folder.parent.name}"
        paired: set[str] = set()
        for stem, image in images_below(images_folder).items():
            name = stem.removesuffix(_IMAGE_END)
            wanted = [f"{name}{kind}{end}" for end in _MASK_ENDS]
            mask = next((masks[w] for w in wanted if w in masks), None)
            paired.update(wanted)
            draw = mask_at(mask, _decode) if mask else None
            short = name.rpartition("/")[2]  # begins with the city
            samples.append(ForeignSample(short, split, image, draw))
        for stem, mask in masks.items():
            if stem.endswith(_MASK_ENDS) and stem not in paired:
                where = mask.relative_to(root).as_posix()
                dataset.problems.append(Remark("a mask without its image", where))
    return ForeignDataset(samples, names, palette, [], dataset.problems, VOID)


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
