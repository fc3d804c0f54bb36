"""labelme: a JSON file of shapes beside each image.

Shapes are drawn as labelme draws them, one over the other in the order of the file:
polygons and circles by Pillow, masks from their PNG. A group id tells instances of one
class apart, which have one id here.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from seglib.data.conversion.annotation_json import read_large_json, stated_size
from seglib.data.conversion.class_lists import FILES, find_class_list
from seglib.data.conversion.foreign import (
    ForeignDataset,
    Format,
    ReadOptions,
    Remark,
    Size,
)
from seglib.data.conversion.labelme_shapes import cover
from seglib.data.conversion.shapes import Shape, ShapeClasses, number_classes
from seglib.data.conversion.source import Source
from seglib.data.conversion.writing import bounds, copied
from seglib.data.dataset import Dataset
from seglib.data.image_io import encode_png
from seglib.errors import SegError
from seglib.storage.atomic_write import write_text
from seglib.storage.files import normal

_VERSION = "5.5.0"  # whose files have masks
_PATH = re.compile(rb'"(shapes|imagePath)"\s*:')
_IGNORE = "__ignore__"


def _recognises(source: Source) -> bool:
    """Whether one of the first JSON files has shapes, or the path of its image."""
    return any(_PATH.search(content) for content in source.probes.values())


def _read(source: Source, options: ReadOptions) -> ForeignDataset:
    """Read all JSON files of a folder; a `labels.txt` orders the classes."""
    problems: list[Remark] = []
    documents: dict[Path, Any] = {}
    for path in source.files:
        if path.suffix == ".json" and path.name not in FILES:
            try:
                document = read_large_json(path, without=frozenset({"imageData"}))
                documents[path] = _checked(document, path)
            except SegError as error:
                problems.append(Remark(_without(error, path), source.relative(path)))
    labels = {shape["label"] for d in documents.values() for shape in d["shapes"]}
    listed = options.classes or find_class_list(source.root, options.voids)
    classes = number_classes(sorted(labels), replace(options, classes=listed))
    dataset = ForeignDataset(
        classes.names, classes.palette, classes.uncovered, problems=problems
    )
    seen: set[Path | Callable[[], bytes]] = set()
    for path, document in documents.items():
        where = source.relative(path)
        try:
            image = _image(source, path, document)
        except SegError as error:
            dataset.lose(_without(error, path), where)
            continue
        seen.add(image)
        draw = partial(_draw, document, classes, where)
        dataset.add(source.stem(path), source.split_of_folder(path), image, draw)
    for name, image in source.images.items():
        if image not in seen:
            dataset.add(name, source.split_of_folder(image), image, None)
    return dataset


def _write(dataset: Dataset, out: Path) -> None:
    """Write a file of masks, one a class, beside each image, a folder a split."""
    names = dict(enumerate(dataset.class_names))
    if dataset.ignore_index is not None:
        names[dataset.ignore_index] = _IGNORE
    write_text(out / "labels.txt", "".join(f"{name}\n" for name in names.values()))
    for split, pair, ids in copied(dataset, lambda split: out / split):
        document = {
            "version": _VERSION,
            "flags": {},
            "shapes": [_mask_shape(ids == i, names[i]) for i in np.unique(ids)],
            "imagePath": pair.image.name,
            "imageData": None,
            "imageHeight": ids.shape[0],
            "imageWidth": ids.shape[1],
        }
        text = json.dumps(document, indent=2, ensure_ascii=False)
        write_text((out / split / pair.image.name).with_suffix(".json"), text)


def _mask_shape(where: np.ndarray, label: str) -> dict[str, Any]:
    left, top, right, bottom = bounds(where)
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
    source: Source, path: Path, document: dict[str, Any]
) -> Path | Callable[[], bytes]:
    """The file of the image, or what decodes the one inside of the document."""
    name = document.get("imagePath")
    if isinstance(name, str) and name:
        image = source.inside(path.parent, name)
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
    shapes = [
        Shape(shape["label"], partial(cover, shape), f"{where}, shape {number}")
        for number, shape in enumerate(document["shapes"], start=1)
    ]
    return classes.draw(shapes, size, remarks)


LABELME = Format("a JSON with `shapes` beside each image", _recognises, _read, _write)
