"""COCO: a JSON file of images, annotations and categories, for each split.

Polygons are drawn by COCO's own library. Annotations lie one over the other in the
order of the file, crowds beneath all others. CVAT and Label Studio export this, too.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple

import numpy as np

from seglib.data.conversion.annotation_json import read_large_json, stated_size
from seglib.data.conversion.coco_masks import cover, require_library
from seglib.data.conversion.foreign import (
    ForeignDataset,
    Format,
    ReadOptions,
    Remark,
    Size,
)
from seglib.data.conversion.shapes import Shape, ShapeClasses, number_classes
from seglib.data.conversion.source import Source, split_of
from seglib.data.conversion.writing import copied
from seglib.data.dataset import Dataset
from seglib.data.pairs import Pair
from seglib.errors import DatasetError, SegError
from seglib.storage.atomic_write import write_text
from seglib.storage.files import normal

_KEYS = (b'"images"', b'"annotations"', b'"categories"')
_INSTANCES = re.compile(r"instances_")
_PANOPTIC = re.compile(rb'"segments_info"')


class Annotated(NamedTuple):
    """An image, and what a document says of it."""

    document: Path
    categories: Mapping[Any, str]  # names by id
    record: Mapping[str, Any]
    image: Path
    annotations: list[dict[str, Any]]


def _recognises(source: Source) -> bool:
    """Whether a JSON file has two of the three lists, and no panoptic segments."""
    return bool(_files(source))


def _files(source: Source) -> list[Path]:
    files = find_documents(source, panoptic=False)
    # COCO's own folder has captions and keypoints beside them.
    return [path for path in files if _INSTANCES.match(path.name)] or files


def find_documents(source: Source, *, panoptic: bool) -> list[Path]:
    """JSON files that have two of the three lists, of the one kind or the other."""
    return [
        path
        for path, content in source.probes.items()
        if sum(key in content for key in _KEYS) > 1
        and panoptic == ("panoptic" in path.name or bool(_PANOPTIC.search(content)))
    ]


def _read(source: Source, options: ReadOptions) -> ForeignDataset:
    """Read the files of all splits; categories of one name are one class."""
    require_library()
    dataset, classes, images = read_documents(source, _files(source), options)
    for one in images:
        draw = partial(_draw, one, classes, source.relative(one.document))
        split = split_of(one.document.stem) or source.split_of_folder(one.document)
        name = source.stem(one.image)
        dataset.add(name, split, one.image, draw if one.annotations else None)
    return dataset


def read_documents(
    source: Source, files: Sequence[Path], options: ReadOptions
) -> tuple[ForeignDataset, ShapeClasses, Iterator[Annotated]]:
    """An empty dataset, its classes, and the images whose files are there."""
    notes: list[Remark] = []
    documents = {path: _read_document(path) for path in files}
    classes = _number_categories(documents, options, notes)
    dataset = ForeignDataset(
        classes.names, classes.palette, classes.uncovered, notes=notes
    )
    return dataset, classes, _annotated(source, documents, dataset)


def _annotated(
    source: Source, documents: Mapping[Path, dict[str, Any]], dataset: ForeignDataset
) -> Iterator[Annotated]:
    for path, document in documents.items():
        categories = _category_names(path, document)
        annotations = _by_image(document, source.relative(path), dataset.notes)
        near = (re.sub(r"^[a-z]+_", "", path.stem), path.parent.name)
        for record in document["images"]:
            try:
                image = source.find_image(record["file_name"], near=near)
            except SegError as error:
                dataset.lose(error, path.name)
            else:
                found = annotations.pop(record["id"], [])
                yield Annotated(path, categories, record, image, found)


def _read_document(path: Path) -> dict[str, Any]:
    """Read and check a file: three lists, of images with ids of their own."""
    document = read_large_json(path)
    for key in ("images", "annotations", "categories"):
        value = document.get(key) if isinstance(document, dict) else None
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            raise DatasetError(f"{path}: expected a list of objects, `{key}`.")
    _names_by_id(path, document["images"], "image", "file_name", int | str)
    return document


def _category_names(path: Path, document: Mapping[str, Any]) -> dict[Any, str]:
    return _names_by_id(path, document["categories"], "category", "name", int)


def _names_by_id(
    path: Path,
    entries: Iterable[Mapping[str, Any]],
    kind: str,
    key: str,
    id_type: type | UnionType,
) -> dict[Any, str]:
    """The names of images or categories, each with an id of its own."""
    names: dict[Any, str] = {}
    for entry in entries:
        number, name = entry.get("id"), entry.get(key)
        fits = isinstance(number, id_type) and isinstance(name, str) and name.strip()
        if not fits:
            told = json.dumps(entry, default=str)[:80]
            raise DatasetError(
                f"{path}: expected `id` and `{key}` of each {kind}. Received: {told}."
            )
        if number in names:
            raise DatasetError(
                f"{path}: the {kind} id {number} is that of {names[number]!r} and of "
                f"{name!r}. Give each its own."
            )
        names[number] = normal(str(name).strip())
    return names


def _number_categories(
    documents: Mapping[Path, Mapping[str, Any]],
    options: ReadOptions,
    notes: list[Remark],
) -> ShapeClasses:
    """Number the categories of all files, in the order of their ids."""
    ordered: dict[str, None] = {}
    for path, document in documents.items():
        names = _category_names(path, document)
        for number in sorted(names):
            ordered.setdefault(names[number])
        if len(set(names.values())) < len(names):
            notes.append(Remark("categories of one name are one class", path.name))
        if sorted(names) not in ([*range(len(names))], [*range(1, len(names) + 1)]):
            told = "category ids with gaps: classes are numbered anew"
            notes.append(Remark(told, path.name))
    return number_classes(ordered, options)


def _by_image(
    document: dict[str, Any], where: str, notes: list[Remark]
) -> dict[Any, list[dict[str, Any]]]:
    """The annotations of each image; they are taken out of the document."""
    known = {record["id"] for record in document["images"]}
    found: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for annotation in document.pop("annotations"):
        place = f"{where}, annotation {annotation.get('id')}"
        image = annotation.get("image_id")
        if not isinstance(image, int | str) or image not in known:
            notes.append(Remark("an annotation of an image that is not listed", place))
        else:
            found[image].append(annotation)
    return found


def _draw(
    one: Annotated,
    classes: ShapeClasses,
    where: str,
    size: Size,
    remarks: list[Remark],
) -> np.ndarray:
    size = stated_size(one.record.get("height"), one.record.get("width"), size, where)
    shapes = [
        Shape(
            one.categories.get(category) if isinstance(category, int) else None,
            partial(cover, annotation.get("segmentation")),
            f"{where}, annotation {annotation.get('id')}",
        )
        for annotation in sorted(one.annotations, key=_is_no_crowd)
        for category in [annotation.get("category_id")]
    ]
    return classes.draw(shapes, size, remarks)


def _is_no_crowd(annotation: Mapping[str, Any]) -> bool:
    stated = annotation.get("iscrowd")
    return not (isinstance(stated, int) and stated == 1)


def _write(dataset: Dataset, out: Path) -> None:
    """Write annotations/instances_SPLIT.json, one encoded mask a class and image."""
    coding = require_library()

    def annotate(_: str, __: Pair, ids: np.ndarray) -> Iterator[dict[str, Any]]:
        for index in np.unique(ids).tolist():
            if index != dataset.ignore_index:
                encoded = coding.encode(np.asfortranarray(ids == index, np.uint8))
                yield {
                    "category_id": index + 1,
                    "segmentation": {
                        "size": encoded["size"],
                        "counts": encoded["counts"].decode(),
                    },
                    "area": int(coding.area(encoded)),
                    "bbox": coding.toBbox(encoded).tolist(),
                    "iscrowd": 0,
                }

    write_documents(
        dataset, out, "instances", lambda split: out / "images" / split, annotate
    )


def write_documents(
    dataset: Dataset,
    out: Path,
    kind: str,
    images: Callable[[str], Path],
    annotate: Callable[[str, Pair, np.ndarray], Iterable[dict[str, Any]]],
) -> None:
    """Write annotations/KIND_SPLIT.json, and the images.

    Args:
        images: gives the folder of a split's images.
        annotate: gives the annotations of a split's pair and its ids, without the
            numbers of annotation and image.
    """
    named = zip(dataset.class_names, dataset.palette, strict=True)
    categories = [
        {"id": i, "name": name, "supercategory": name, "isthing": 0, "color": [*colour]}
        for i, (name, colour) in enumerate(named, 1)
    ]
    documents: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for split, pair, ids in copied(dataset, images):
        empty = {"images": [], "annotations": [], "categories": categories}
        document = documents.setdefault(split, empty)
        number, (height, width) = len(document["images"]) + 1, ids.shape
        record = {"id": number, "file_name": pair.image.name}
        document["images"].append({**record, "height": height, "width": width})
        for annotation in annotate(split, pair, ids):
            numbers = {"id": len(document["annotations"]) + 1, "image_id": number}
            document["annotations"].append(numbers | annotation)
    for split, document in documents.items():
        text = json.dumps(document, ensure_ascii=False)
        write_text(out / "annotations" / f"{kind}_{split}.json", text)


COCO = Format(
    "annotations/instances_train.json (or one JSON of another name), images",
    _recognises,
    _read,
    _write,
    require_library,
)
