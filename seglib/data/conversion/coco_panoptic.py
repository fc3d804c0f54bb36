"""COCO panoptic: a JSON file of segments for each split, and PNGs of their ids.

A pixel's segment id is red + 256 green + 256² blue; 0 is void.
Reference: "Data format", cocodataset.org, 4. Panoptic Segmentation.
"""

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from seglib.data.conversion.coco import (
    by_image,
    find_documents,
    found_images,
    image_record,
    is_panoptic,
    number_categories,
    read_document,
    write_document,
)
from seglib.data.conversion.coco import category_names as names_of
from seglib.data.conversion.foreign import (
    VOID,
    ForeignDataset,
    ForeignSample,
    ReadOptions,
    Remark,
    mask_file,
)
from seglib.data.conversion.paired_folders import read_bytes
from seglib.data.conversion.source_files import (
    ImageIndex,
    inside,
    split_of,
    stem_below,
)
from seglib.data.dataset import Dataset
from seglib.data.image_io import decode_samples, encode_png, read_mask
from seglib.errors import SegError
from seglib.storage.atomic_write import write_bytes

_BASES = np.array([1, 1 << 8, 1 << 16], np.uint32)  # of red, green and blue


def recognises(root: Path) -> bool:
    """Whether a JSON file has segments, or is named as panoptic."""
    return any(is_panoptic(path) for path in find_documents(root))


def read(root: Path, options: ReadOptions) -> ForeignDataset:
    """Read the files of all splits."""
    dataset = ForeignDataset(())
    paths = [path for path in find_documents(root) if is_panoptic(path)]
    documents = {path: read_document(path) for path in paths}
    uncovered = ReadOptions(options.classes, options.voids, uncovered_is_void=True)
    classes = number_categories(documents, uncovered, dataset.notes)
    images = ImageIndex(root)
    samples: list[ForeignSample] = []
    for path, document in documents.items():
        where = path.relative_to(root).as_posix()
        ids = {n: classes.ids[name] for n, name in names_of(path, document).items()}
        annotations = by_image(document, where, dataset.notes)
        for record, image in found_images(path, document, images, dataset):
            draw = None
            if found := annotations.get(record["id"]):
                try:
                    mask = _mask_file(root, path, str(found[0].get("file_name")))
                except SegError as error:
                    dataset.problems.append(Remark(str(error), where))
                    continue
                segments = found[0].get("segments_info")
                decode = partial(_decode, path=mask, segments=segments, ids=ids)
                draw = mask_file(partial(read_bytes, mask), decode)
            split = split_of(path.stem)
            name = stem_below(root, image)
            samples.append(ForeignSample(name, split, image, draw))
    return ForeignDataset(
        samples,
        classes.names,
        classes.palette,
        dataset.notes,
        dataset.problems,
        VOID,
    )


def _mask_file(root: Path, path: Path, name: str) -> Path:
    """The PNG of segments, in the folder that is named as the JSON file."""
    folders = (path.with_suffix(""), path.parent)
    files = [inside(root, folder, name) for folder in folders]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        raise SegError(f"the segments {name!r} are not in {path.stem}/")
    return found


def _decode(
    encoded: bytes, *, path: Path, segments: Any, ids: Mapping[Any, int]
) -> np.ndarray:
    pixels = decode_samples(encoded, name=str(path))
    numbers, inverse = np.unique(pixels @ _BASES, return_inverse=True)
    classes = {0: VOID}
    for segment in segments if isinstance(segments, list) else ():
        known = segment if isinstance(segment, dict) else {}
        number, category = known.get("id"), known.get("category_id")
        if not isinstance(number, int) or not isinstance(category, int):
            raise SegError(f"{path}: a segment without `id` and `category_id`")
        if category not in ids:
            raise SegError(f"{path}: a segment of the unlisted category {category}")
        classes[number] = ids[category]
    if strange := [n for n in numbers.tolist() if n not in classes]:
        raise SegError(f"{path}: the segment {strange[0]} is not in `segments_info`")
    lookup = np.array([classes[number] for number in numbers.tolist()], np.uint16)
    return lookup[inverse].reshape(pixels.shape[:2])


def write(dataset: Dataset, out: Path) -> None:
    """Write panoptic_SPLIT.json and its PNGs, with one segment a class and image."""
    names = dataset.class_names
    categories = [
        {"id": i, "name": n, "supercategory": n, "isthing": 0, "color": list(colour)}
        for i, (n, colour) in enumerate(zip(names, dataset.palette, strict=True), 1)
    ]
    for split, pairs in dataset.splits.items():
        images, annotations = [], []
        (out / split).mkdir()
        for number, pair in enumerate(pairs, start=1):
            shutil.copyfile(pair.image, out / split / pair.image.name)
            ids = read_mask(pair.mask)
            segments = np.where(
                ids == dataset.ignore_index, 0, ids.astype(np.int64) + 1
            )
            pixels = segments[..., None] // _BASES.astype(np.int64) % 256
            name = f"{pair.stem}.png"
            folder = out / "annotations" / f"panoptic_{split}"
            write_bytes(folder / name, encode_png(pixels.astype(np.uint8)))
            images.append(image_record(number, pair.image.name, ids))
            annotations.append(
                {
                    "image_id": number,
                    "file_name": name,
                    "segments_info": [
                        _segment(segments == s, s)
                        for s in np.unique(segments).tolist()
                        if s
                    ],
                }
            )
        path = out / "annotations" / f"panoptic_{split}.json"
        write_document(path, images, annotations, categories)


def _segment(where: np.ndarray, number: int) -> dict[str, Any]:
    rows, columns = np.flatnonzero(where.any(1)), np.flatnonzero(where.any(0))
    left, top = int(columns[0]), int(rows[0])
    box = [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1]
    return {
        "id": number,
        "category_id": number,
        "iscrowd": 0,
        "bbox": box,
        "area": int(where.sum()),
    }
