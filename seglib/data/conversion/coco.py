"""COCO: a JSON file of images, annotations and categories, for each split.

Polygons are drawn by COCO's own library. Annotations lie one over the other in the
order of the file, crowds beneath all others. CVAT and Label Studio export this, too.
"""

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from seglib.data.conversion.coco_masks import cover, require_library
from seglib.data.conversion.foreign import (
    ForeignDataset,
    ForeignSample,
    ReadOptions,
    Remark,
    Size,
)
from seglib.data.conversion.shape_classes import ShapeClasses, number_classes
from seglib.data.conversion.source_files import (
    ImageIndex,
    peek,
    read_large_json,
    split_of,
    stated_size,
    stem_below,
    walk,
)
from seglib.data.dataset import Dataset
from seglib.data.image_io import read_mask
from seglib.errors import DatasetError, SegError
from seglib.storage.atomic_write import write_text
from seglib.storage.files import normal

_KEYS = (b'"images"', b'"annotations"', b'"categories"')
_INSTANCES = re.compile(r"instances_")
_PANOPTIC = re.compile(rb'"segments_info"')
_PROBED = 20  # JSON files


def recognises(root: Path) -> bool:
    """Whether a JSON file has two of the three lists, and no panoptic segments."""
    return bool(_files(root))


def _files(root: Path) -> list[Path]:
    files = [path for path in find_documents(root) if not is_panoptic(path)]
    # COCO's own folder has captions and keypoints beside them.
    return [path for path in files if _INSTANCES.match(path.name)] or files


def find_documents(root: Path) -> list[Path]:
    """JSON files that have two of the three lists."""
    files = (path for path in walk(root) if path.suffix == ".json")
    return [
        path
        for path in islice(files, _PROBED)
        if sum(key in peek(path) for key in _KEYS) > 1
    ]


def is_panoptic(path: Path) -> bool:
    return "panoptic" in path.name or bool(_PANOPTIC.search(peek(path)))


def read(root: Path, options: ReadOptions) -> ForeignDataset:
    """Read the files of all splits; categories of one name are one class."""
    require_library()
    dataset = ForeignDataset(())
    documents = {path: read_document(path) for path in _files(root)}
    classes = number_categories(documents, options, dataset.notes)
    images = ImageIndex(root)
    samples: list[ForeignSample] = []
    for path, document in documents.items():
        where = path.relative_to(root).as_posix()
        names = category_names(path, document)
        annotations = by_image(document, where, dataset.notes)
        for record, image in found_images(path, document, images, dataset):
            drawn = annotations.pop(record["id"], [])
            draw = partial(_draw, record, drawn, names, classes, where)
            split = split_of(path.stem) or split_of(
                path.parent.relative_to(root).as_posix()
            )
            name = stem_below(root, image)
            samples.append(ForeignSample(name, split, image, draw if drawn else None))
    return ForeignDataset(
        samples,
        classes.names,
        classes.palette,
        dataset.notes,
        dataset.problems,
        classes.uncovered,
    )


def read_document(path: Path) -> dict[str, Any]:
    """Read and check a file: three lists, of images with ids of their own."""
    document = read_large_json(path)
    for key in ("images", "annotations", "categories"):
        value = document.get(key) if isinstance(document, dict) else None
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            raise DatasetError(f"{path}: expected a list of objects, `{key}`.")
    seen: dict[Any, Any] = {}
    for record in document["images"]:
        number, name = record.get("id"), record.get("file_name")
        if not isinstance(number, int | str) or not isinstance(name, str):
            told = json.dumps(record, default=str)[:80]
            raise DatasetError(
                f"{path}: expected `id` and `file_name` of images. Received: {told}."
            )
        if number in seen:
            raise DatasetError(
                f"{path}: the image id {number} is that of {seen[number]!r} and of "
                f"{name!r}: nobody can tell whose annotations are meant."
            )
        seen[number] = name
    return document


def category_names(path: Path, document: Mapping[str, Any]) -> dict[Any, str]:
    """The name of each category's id."""
    names: dict[Any, str] = {}
    for category in document["categories"]:
        number, name = category.get("id"), category.get("name")
        if not isinstance(number, int) or not isinstance(name, str) or not name.strip():
            told = json.dumps(category, default=str)[:80]
            raise DatasetError(
                f"{path}: expected `id` and `name` of categories. Received: {told}."
            )
        if number in names:
            raise DatasetError(
                f"{path}: the category id {number} is that of {names[number]!r} and of "
                f"{name!r}."
            )
        names[number] = normal(name.strip())
    return names


def number_categories(
    documents: Mapping[Path, Mapping[str, Any]],
    options: ReadOptions,
    notes: list[Remark],
) -> ShapeClasses:
    """Number the categories of all files, in the order of their ids."""
    ordered: dict[str, None] = {}
    for path, document in documents.items():
        names = category_names(path, document)
        for number in sorted(names):
            ordered.setdefault(names[number])
        if len(set(names.values())) < len(names):
            notes.append(Remark("categories of one name are one class", path.name))
        if sorted(names) not in (
            list(range(len(names))),
            list(range(1, len(names) + 1)),
        ):
            notes.append(
                Remark("category ids with gaps: classes are numbered anew", path.name)
            )
    return number_classes(ordered, options.classes, options)


def by_image(
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


def found_images(
    path: Path, document: Mapping[str, Any], images: ImageIndex, dataset: ForeignDataset
) -> Iterable[tuple[dict[str, Any], Path]]:
    """The images whose files are there."""
    near = (re.sub(r"^[a-z]+_", "", path.stem), path.parent.name)
    for record in document["images"]:
        try:
            yield record, images.find(record["file_name"], near=near)
        except SegError as error:
            dataset.problems.append(Remark(str(error), path.name))


def _draw(
    record: Mapping[str, Any],
    annotations: list[dict[str, Any]],
    names: Mapping[Any, str],
    classes: ShapeClasses,
    where: str,
    size: Size,
    remarks: list[Remark],
) -> np.ndarray:
    size = stated_size(record.get("height"), record.get("width"), size, where)
    ids = classes.empty(size)
    for annotation in sorted(annotations, key=lambda a: a.get("iscrowd") != 1):
        place = f"{where}, annotation {annotation.get('id')}"
        category = annotation.get("category_id")
        name = names.get(category) if isinstance(category, int) else None
        try:
            if name is None:
                raise SegError("an annotation of a category that is not listed")
            covered = cover(annotation.get("segmentation"), size, remarks, place)
        except SegError as error:
            remarks.append(Remark(str(error), place))
        else:
            ids[covered] = classes.ids[name]
    return ids


def write(dataset: Dataset, out: Path) -> None:
    """Write annotations/instances_SPLIT.json, one encoded mask a class and image."""
    coding = require_library()
    names = dataset.class_names
    categories = [
        {"id": i, "name": n, "supercategory": ""} for i, n in enumerate(names, 1)
    ]
    for split, pairs in dataset.splits.items():
        folder = out / "images" / split
        folder.mkdir(parents=True)
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number, pair in enumerate(pairs, start=1):
            shutil.copyfile(pair.image, folder / pair.image.name)
            ids = read_mask(pair.mask)
            images.append(image_record(number, pair.image.name, ids))
            for index in np.unique(ids).tolist():
                if index == dataset.ignore_index:
                    continue
                encoded = coding.encode(np.asfortranarray(ids == index, np.uint8))
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": index + 1,
                        "segmentation": {
                            "size": encoded["size"],
                            "counts": encoded["counts"].decode(),
                        },
                        "area": int(coding.area(encoded)),
                        "bbox": coding.toBbox(encoded).tolist(),
                        "iscrowd": 0,
                    }
                )
        path = out / "annotations" / f"instances_{split}.json"
        write_document(path, images, annotations, categories)


def write_document(
    path: Path,
    images: Sequence[Mapping[str, Any]],
    annotations: Sequence[Mapping[str, Any]],
    categories: Sequence[Mapping[str, Any]],
) -> None:
    """Write the JSON of a split."""
    document = {"images": images, "annotations": annotations, "categories": categories}
    write_text(path, json.dumps(document, ensure_ascii=False))


def image_record(number: int, file_name: str, ids: np.ndarray) -> dict[str, Any]:
    """What a document says of an image."""
    height, width = ids.shape
    return {"id": number, "file_name": file_name, "height": height, "width": width}
