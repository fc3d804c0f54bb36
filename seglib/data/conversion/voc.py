"""Pascal VOC: JPEGImages, SegmentationClass, and lists of names for each split.

CVAT exports it with a `labelmap.txt` of its own classes and colours.
Reference: Everingham et al. 2012, "The PASCAL VOC 2012 development kit".
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from seglib.data.conversion.class_lists import ClassList, Colour, find_class_list
from seglib.data.conversion.foreign import (
    BACKGROUND,
    VOID,
    ForeignDataset,
    Format,
    ReadOptions,
    mask_at,
)
from seglib.data.conversion.masks import MaskReader
from seglib.data.conversion.source import Source, images_below, split_of
from seglib.data.conversion.writing import copied, free_colour, require_at_most
from seglib.data.dataset import Dataset
from seglib.errors import DatasetError, SegError, UsageError
from seglib.storage.atomic_write import write_bytes, write_text
from seglib.storage.files import normal

_IMAGES, _MASKS, _LISTS = "JPEGImages", "SegmentationClass", "ImageSets/Segmentation"
_HEAD = "# label:color_rgb:parts:actions"
_VOID_COLOUR = (224, 224, 192)
_NAMES = (
    *(BACKGROUND, "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car"),
    *("cat", "chair", "cow", "diningtable", "dog", "horse", "motorbike", "person"),
    *("pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


def _recognises(source: Source) -> bool:
    """Whether the two folders are there, perhaps below VOCdevkit/VOC2012."""
    return _home(source.root) is not None


def _home(root: Path) -> Path | None:
    places = [root, *sorted(root.glob("VOC*")), *sorted(root.glob("VOCdevkit/VOC*"))]
    fitting = (p for p in places if (p / _IMAGES).is_dir() and (p / _MASKS).is_dir())
    return next(fitting, None)


def colour_map(count: int) -> tuple[Colour, ...]:
    """VOC's colours: the bits of an id are dealt to red, green and blue, highest first.

    >>> colour_map(3)
    ((0, 0, 0), (128, 0, 0), (0, 128, 0))
    """

    def part(index: int, channel: int) -> int:
        bits = [index >> 3 * place + channel & 1 for place in range(8)]
        return sum(bit << 7 - place for place, bit in enumerate(bits))

    return tuple((part(i, 0), part(i, 1), part(i, 2)) for i in range(count))


def _read(source: Source, options: ReadOptions) -> ForeignDataset:
    """Read the lists of names; without a list of classes they are VOC's 21."""
    home = _home(source.root)
    if home is None:
        raise DatasetError(f"{source.root}: expected {_IMAGES}/ and {_MASKS}/.")
    classes = options.classes or find_class_list(home, options.voids)
    if classes is None:
        classes = ClassList(_NAMES, colour_map(len(_NAMES)))
    elif not classes.colours:
        colours = colour_map(len(classes.names))
        classes = ClassList(classes.names, colours, classes.void)
    images, masks = images_below(home / _IMAGES), images_below(home / _MASKS)
    reader = MaskReader(classes, {_VOID_COLOUR: VOID}, options.ignore_index)
    dataset = ForeignDataset(classes.class_names, classes.palette)
    for split, names in _splits(home, sorted(images)).items():
        for name in names:
            if name in images:
                draw = mask_at(masks[name], reader) if name in masks else None
                dataset.add(name, split, images[name], draw)
            else:
                told = f"a listed name without an image in {_IMAGES}/"
                dataset.lose(told, f"{_LISTS}: {name}")
    for name in sorted(masks.keys() - images.keys()):
        dataset.lose("a mask without its image", source.relative(masks[name]))
    return dataset


def _splits(home: Path, everything: list[str]) -> dict[str, list[str]]:
    """Names by split; without lists all names, with split ""."""
    found: dict[str, list[str]] = {}
    seen: set[str] = set()
    lists = {path.stem: path for path in sorted(home.glob(f"{_LISTS}/*.txt"))}
    named = [stem for stem in lists if split_of(stem)]
    for stem in named or lists:  # trainval is of both, default is CVAT's
        try:
            text = lists[stem].read_text("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise SegError(f"{lists[stem]}: cannot be read ({error}).") from error
        names = [normal(line.strip()) for line in text.splitlines() if line.strip()]
        split = split_of(stem) if named else ""
        names = [name for name in dict.fromkeys(names) if name not in seen]
        found[split] = [*found.get(split, []), *names]
        seen.update(names)
    return found or {"": everything}


def _write(dataset: Dataset, out: Path) -> None:
    """Write masks with the palette as their colour table, and labelmap.txt."""
    require_at_most(dataset, "Pascal VOC")
    void = free_colour(dataset, (_VOID_COLOUR, *colour_map(256)))
    named = [*zip(dataset.class_names, dataset.palette, strict=True), ("void", void)]
    for name, _ in named[:-1]:
        if ":" in name or name.startswith("#"):
            raise UsageError(f"The class {name!r}: labelmap.txt takes neither : nor #.")
    lines = [f"{name}:{','.join(map(str, colour))}::" for name, colour in named]
    write_text(out / "labelmap.txt", "\n".join([_HEAD, *lines, ""]))
    table = [*(part for colour in dataset.palette for part in colour)]
    table += [0] * (3 * 255 - len(table)) + [*void]
    for _, pair, ids in copied(dataset, lambda _: out / _IMAGES):
        indices = np.where(ids == dataset.ignore_index, 255, ids)
        picture = Image.fromarray(indices.astype(np.uint8), "L")
        picture.putpalette(table)
        content = io.BytesIO()
        picture.save(content, "PNG")
        write_bytes(out / _MASKS / f"{pair.stem}.png", content.getvalue())
    for split, pairs in dataset.splits.items():
        stems = "".join(f"{pair.stem}\n" for pair in pairs)
        write_text(out / _LISTS / f"{split}.txt", stems)


VOC = Format(
    "JPEGImages/, SegmentationClass/, ImageSets/Segmentation/train.txt",
    _recognises,
    _read,
    _write,
)
