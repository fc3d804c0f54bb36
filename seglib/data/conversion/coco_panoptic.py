"""COCO panoptic: a JSON file of segments for each split, and PNGs of their ids.

A pixel's segment id is red + 256 green + 256² blue; 0 is void.
Reference: "Data format", cocodataset.org, 4. Panoptic Segmentation.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from seglib.data.conversion.coco import (
    find_documents,
    read_documents,
    write_documents,
)
from seglib.data.conversion.foreign import (
    VOID,
    ForeignDataset,
    Format,
    ReadOptions,
    mask_at,
)
from seglib.data.conversion.source import Source, split_of
from seglib.data.conversion.writing import bounds
from seglib.data.dataset import Dataset
from seglib.data.image_io import decode_samples, write_image
from seglib.data.pairs import Pair
from seglib.errors import SegError

_BASES = np.array([1, 1 << 8, 1 << 16], np.uint32)  # of red, green and blue


def _recognises(source: Source) -> bool:
    """Whether a JSON file has segments, or is named as panoptic."""
    return bool(find_documents(source, panoptic=True))


def _read(source: Source, options: ReadOptions) -> ForeignDataset:
    """Read the files of all splits."""
    files = find_documents(source, panoptic=True)
    options = replace(options, uncovered_is_void=True)
    dataset, classes, images = read_documents(source, files, options)
    for one in images:
        draw, path = None, one.document
        if one.annotations:
            found = one.annotations[0]
            try:
                mask = _mask_file(source, path, str(found.get("file_name")))
            except SegError as error:
                dataset.lose(error, source.relative(path))
                continue
            ids = {n: classes.ids[name] for n, name in one.categories.items()}
            segments = found.get("segments_info")
            draw = mask_at(mask, partial(_decode, segments=segments, ids=ids))
        dataset.add(source.stem(one.image), split_of(path.stem), one.image, draw)
    return dataset


def _mask_file(source: Source, path: Path, name: str) -> Path:
    """The PNG of segments, in the folder that is named as the JSON file."""
    folders = (path.with_suffix(""), path.parent)
    files = [source.inside(folder, name) for folder in folders]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        raise SegError(f"the segments {name!r} are not in {path.stem}/")
    return found


def _decode(
    encoded: bytes, *, name: str, segments: Any, ids: Mapping[Any, int]
) -> np.ndarray:
    pixels = decode_samples(encoded, name=name)
    numbers, inverse = np.unique(pixels @ _BASES, return_inverse=True)
    classes = {0: VOID}
    for segment in segments if isinstance(segments, list) else ():
        known = segment if isinstance(segment, dict) else {}
        number, category = known.get("id"), known.get("category_id")
        if not isinstance(number, int) or not isinstance(category, int):
            raise SegError(f"{name}: a segment without `id` and `category_id`")
        if category not in ids:
            raise SegError(f"{name}: a segment of the unlisted category {category}")
        classes[number] = ids[category]
    if strange := [n for n in numbers.tolist() if n not in classes]:
        raise SegError(f"{name}: the segment {strange[0]} is not in `segments_info`")
    lookup = np.array([classes[number] for number in numbers.tolist()], np.uint16)
    return lookup[inverse].reshape(pixels.shape[:2])


def _write(dataset: Dataset, out: Path) -> None:
    """Write panoptic_SPLIT.json and its PNGs, with one segment a class and image."""

    def annotate(split: str, pair: Pair, ids: np.ndarray) -> Iterator[dict[str, Any]]:
        segments = np.where(ids == dataset.ignore_index, 0, ids.astype(np.int64) + 1)
        pixels = segments[..., None] // _BASES.astype(np.int64) % 256
        name = f"{pair.stem}.png"
        folder = out / "annotations" / f"panoptic_{split}"
        write_image(folder / name, pixels.astype(np.uint8))
        numbers = [number for number in np.unique(segments).tolist() if number]
        info = [_segment(segments == number, number) for number in numbers]
        yield {"file_name": name, "segments_info": info}

    write_documents(dataset, out, "panoptic", lambda split: out / split, annotate)


def _segment(where: np.ndarray, number: int) -> dict[str, Any]:
    left, top, right, bottom = bounds(where)
    return {
        "id": number,
        "category_id": number,
        "iscrowd": 0,
        "bbox": [left, top, right - left + 1, bottom - top + 1],
        "area": int(where.sum()),
    }


COCO_PANOPTIC = Format(
    "annotations/panoptic_train.json, annotations/panoptic_train/*.png, images",
    _recognises,
    _read,
    _write,
)
