"""labelme: a JSON file of shapes beside each image.

Shapes are drawn as labelme draws them, one over the other in the order of the file:
polygons and circles by Pillow, masks from their PNG. A group id tells instances of one
class apart, which have one id here.
"""

import base64
import binascii
import json
import re
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from seglib.data.conversion.class_lists import FILES, find_class_list
from seglib.data.conversion.foreign import (
    ForeignDataset,
    ForeignSample,
    ReadOptions,
    Remark,
    Size,
)
from seglib.data.conversion.labelme_shapes import cover
from seglib.data.conversion.shape_classes import ShapeClasses, number_classes
from seglib.data.conversion.source_files import (
    images_below,
    inside,
    peek,
    read_large_json,
    split_of,
    stated_size,
    stem_below,
    walk,
)
from seglib.data.dataset import Dataset
from seglib.data.image_io import encode_png, read_mask
from seglib.errors import SegError
from seglib.storage.atomic_write import write_text
from seglib.storage.files import normal

_VERSION = "5.5.0"  # whose files have masks
_PATH = re.compile(rb'"(shapes|imagePath)"\s*:')
_PROBED = 20  # JSON files
_IGNORE = "__ignore__"


def recognises(root: Path) -> bool:
    """Whether one of the first JSON files has shapes, or the path of its image."""
    files = (path for path in walk(root) if path.suffix == ".json")
    return any(_PATH.search(peek(path)) for path in islice(files, _PROBED))


def read(root: Path, options: ReadOptions) -> ForeignDataset:
    """Read all JSON files of a folder; a `labels.txt` orders the classes."""
    dataset = ForeignDataset(())
    documents: dict[Path, Any] = {}
    for path in walk(root):
        if path.suffix == ".json" and path.name not in FILES:
            try:
                document = read_large_json(path, without=frozenset({"imageData"}))
                documents[path] = _checked(document, path)
            except SegError as error:
                where = path.relative_to(root).as_posix()
                dataset.problems.append(Remark(_without(error, path), where))
    labels = {shape["label"] for d in documents.values() for shape in d["shapes"]}
    listed = options.classes or find_class_list(root, options.voids)
    classes = number_classes(sorted(labels), listed, options)
    samples: list[ForeignSample] = []
    seen: set[Path] = set()
    for path, document in documents.items():
        where = path.relative_to(root).as_posix()
        try:
            image = _image(root, path, document)
        except SegError as error:
            dataset.problems.append(Remark(_without(error, path), where))
            continue
        if isinstance(image, Path):
            seen.add(image)
        draw = partial(_draw, document, classes, where)
        split = split_of(path.parent.relative_to(root).as_posix())
        samples.append(ForeignSample(stem_below(root, path), split, image, draw))
    for name, image in images_below(root).items():
        if image not in seen:
            split = split_of(image.parent.relative_to(root).as_posix())
            samples.append(ForeignSample(name, split, image, None))
    return ForeignDataset(
        samples,
        classes.names,
        classes.palette,
        problems=dataset.problems,
        uncovered=classes.uncovered,
    )


def write(dataset: Dataset, out: Path) -> None:
    """Write a file of masks, one a class, beside each image, a folder a split."""
    names = [*dataset.class_names]
    ignored = dataset.ignore_index
    lines = [*names, *([_IGNORE] if ignored is not None else [])]
    write_text(out / "labels.txt", "\n".join(lines) + "\n")
    for split, pairs in dataset.splits.items():
        for pair in pairs:
            image = out / split / pair.image.name
            image.parent.mkdir(exist_ok=True)
            shutil.copyfile(pair.image, image)
            ids = read_mask(pair.mask)
            document = {
                "version": _VERSION,
                "flags": {},
                "shapes": [
                    _mask_shape(ids == i, _IGNORE if i == ignored else names[i])
                    for i in np.unique(ids).tolist()
                ],
                "imagePath": image.name,
                "imageData": None,
                "imageHeight": ids.shape[0],
                "imageWidth": ids.shape[1],
            }
            text = json.dumps(document, indent=2, ensure_ascii=False)
            write_text(image.with_suffix(".json"), text)


def _mask_shape(where: np.ndarray, label: str) -> dict[str, Any]:
    rows, columns = np.flatnonzero(where.any(1)), np.flatnonzero(where.any(0))
    top, bottom = int(rows[0]), int(rows[-1])
    left, right = int(columns[0]), int(columns[-1])
    png = encode_png(where[top : bottom + 1, left : right + 1].astype(np.uint8))
    return {
        "label": label,
        "points": [[left, top], [right, bottom]],
        "group_id": None,
        "description": "",
        "shape_type": "mask",
        "flags": {},
        "mask": base64.b64encode(png).decode(),
    }


def _without(error: Exception, path: Path) -> str:
    """The message without the name of its file, which stands beside it."""
    return str(error).removeprefix(f"{path}: ").rstrip(".")


def _checked(document: Any, path: Path) -> dict[str, Any]:
    """The document, with the names of its shapes in their normal form."""
    shapes = document.get("shapes") if isinstance(document, dict) else None
    if not isinstance(shapes, list):
        raise SegError(f"{path}: no list of `shapes`, as labelme writes it")
    for number, shape in enumerate(shapes, start=1):
        label = shape.get("label") if isinstance(shape, dict) else None
        if not isinstance(label, str) or not label.strip():
            raise SegError(f"{path}: shape {number} has no `label`")
        shape["label"] = normal(label.strip())
    return document


def _image(
    root: Path, path: Path, document: dict[str, Any]
) -> Path | Callable[[], bytes]:
    """The file of the image, or what decodes the one inside of the document."""
    name = document.get("imagePath")
    if isinstance(name, str) and name:
        image = inside(root, path.parent, name)
        if image.is_file():
            return image
    if isinstance(read_large_json(path).get("imageData"), str):
        return partial(_embedded, path)
    raise SegError(f"the image {name!r} is not there, nor in the file itself")


def _embedded(path: Path) -> bytes:
    try:
        return base64.b64decode(read_large_json(path)["imageData"])
    except (binascii.Error, ValueError) as error:
        raise SegError(f"{path}: its `imageData` is damaged ({error})") from error


def _draw(
    document: Mapping[str, Any],
    classes: ShapeClasses,
    where: str,
    size: Size,
    remarks: list[Remark],
) -> np.ndarray:
    """The ids of a document, at the size that it states."""
    height, width = document.get("imageHeight"), document.get("imageWidth")
    size = stated_size(height, width, size, where)
    ids = classes.empty(size)
    for number, shape in enumerate(document["shapes"], start=1):
        try:
            covered = cover(shape, size, remarks, f"{where}, shape {number}")
        except SegError as error:
            remarks.append(Remark(str(error), f"{where}, shape {number}"))
        else:
            ids[covered] = classes.ids[shape["label"]]
    return ids
