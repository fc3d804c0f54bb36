"""COCO's segmentations, polygons and run-length encodings, as masks."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from seglib.data.conversion.annotation_json import numbers
from seglib.data.conversion.foreign import Remark, Size, optional_library
from seglib.data.conversion.shapes import read_points
from seglib.errors import SegError


def cover(
    segmentation: Any, size: Size, remarks: list[Remark], where: str
) -> np.ndarray:
    """Where an annotation is, bool (H, W)."""
    if isinstance(segmentation, dict):
        return run_lengths(segmentation, size)
    if isinstance(segmentation, list | np.ndarray) and len(segmentation):
        polygons = _polygons(segmentation, size, remarks, where)
        coding = require_library()
        encoded = coding.merge(coding.frPyObjects(polygons, *size))
        return coding.decode(encoded).astype(bool)
    raise SegError("an annotation without a segmentation, a box perhaps")


def _polygons(
    parts: Any, size: Size, remarks: list[Remark], where: str
) -> list[list[float]]:
    polygons = []
    for part in parts:
        points = read_points(part, "polygon", size, remarks, where)
        if len(points) < 3:
            remarks.append(Remark("a polygon with fewer than 3 points", where))
        else:
            polygons.append(points.ravel().tolist())
    if not polygons:
        raise SegError("an annotation without a polygon of 3 points or more")
    return polygons


def run_lengths(segmentation: Mapping[str, Any], size: Size) -> np.ndarray:
    """Where a run-length encoding is, bool (H, W); its runs go down the columns."""
    counts, stated = segmentation.get("counts"), segmentation.get("size")
    if not isinstance(stated, list) or stated != list(size):
        raise SegError(f"a run-length encoding of size {stated}, in an image of {size}")
    runs = numbers(_decompressed(counts) if isinstance(counts, str) else counts)
    pixels = size[0] * size[1]
    if (
        runs is None
        or ((runs < 0) | (runs > pixels) | (runs % 1 > 0)).any()
        or runs.sum() != pixels
    ):
        raise SegError("a run-length encoding that does not fill its image")
    covered = np.repeat(np.arange(len(runs)) % 2 == 1, runs.astype(np.int64))
    return covered.reshape(size[::-1]).T


def _decompressed(text: str) -> list[int]:
    """The runs of a compressed encoding.

    Not by COCO's library, which reads beyond its memory where a text is damaged.
    Reference: rleFrString of its maskApi.c: 6 bits a character, the lowest 5 a part of
    a number, the highest for one more part; from the fourth on, numbers are
    differences from the last but one.
    """
    runs: list[int] = []
    number = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise SegError("a damaged run-length encoding")
        number |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:  # the sign
            number -= 1 << shift
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))
        number = shift = 0
    if shift:
        raise SegError("a damaged run-length encoding")
    return runs


def require_library() -> Any:
    """COCO's own coder of masks; a UsageError if it is not installed."""
    return optional_library("pycocotools.mask", "COCO's masks are decoded")
