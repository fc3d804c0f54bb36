"""What the bytes of one file say of it: facts, and what is wrong with them.

They depend on the bytes and on the file's role alone, so they can be cached by its md5.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from seglib.data.encodings import bits_of_grey, colour_table
from seglib.data.file_formats import (
    TooLargeError,
    exif_orientation,
    find_damage,
    lossy_format,
)
from seglib.data.image_io import (
    BLOCK,
    ColoursError,
    UnfitError,
    decode_mask,
    decode_reduced,
    decode_samples,
    is_see_through,
)
from seglib.data.problems import PROBLEM, WARNING
from seglib.data.verification.objects import Objects, measure_objects
from seglib.data.verification.similarity import NOTHING, Appearance, appearance_of
from seglib.errors import SegError

# Roles; a further input's is its number of channels.
IMAGE, MASK, MEASURED = "image", "mask", "measured mask"
_MIN_CHANGES = 50  # along a mask's rows; fewer say nothing of its edges
_MANY_COLOURS = 256  # more than any colour code has
_BAND = 1 << 18  # pixels that are scanned at once


class Fault(NamedTuple):
    """What is wrong with a file, wherever it lies; see `Problem`."""

    reason: str
    remedy: str
    kind: str
    severity: str = PROBLEM


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFacts:
    """A file as it is stored, and what its decoded pixels come to."""

    size_bytes: int
    md5: str
    size: tuple[int, int] = (0, 0)  # (height, width), upright; 0: not decodable
    deepest: int = 0  # largest value of an image of 16 bits a sample; else 0
    orientation: int = 1  # of an image, by EXIF
    appearance: Appearance = NOTHING  # of an image
    reduced: bool = False  # whether it was looked at through a JPEG's blocks
    ids: dict[int, int] = field(default_factory=dict)  # of a mask: id -> pixels
    ramps: float = 0.0  # of a mask, see `ramp_share`
    palette: bytes = b""  # a mask's colour table, where it has one
    objects: dict[int, Objects] | None = None  # of a measured mask, by id
    faults: tuple[Fault, ...] = ()


def file_facts(encoded: bytes, role: str, md5: str) -> FileFacts:
    """Decode a file and gather its facts.

    Args:
        encoded: its bytes.
        role: "image", "mask", "measured mask" (its objects, too), or the channels of
            a further input: "1", "3" or "4".
        md5: of the bytes.
    """
    found: dict[str, Any] = {}
    if damage := find_damage(encoded):
        remedy = "Restore it, or remove it together with its partner."
        found["faults"] = (Fault(damage, remedy, "damaged-file"),)
    else:
        try:
            found = _decoded(encoded, role)
        except ColoursError:
            found["faults"] = (_colours_for_ids(decode_samples(encoded)),)
        except SegError as error:
            found["faults"] = (_undecodable(error),)
    return FileFacts(size_bytes=len(encoded), md5=md5, **found)


def count_ids(mask: np.ndarray) -> dict[int, int]:
    """Pixels of each id of a mask uint8 or uint16 (H, W), in id order."""
    return _scan_rows(mask)[0]


def ramp_share(mask: np.ndarray) -> float:
    """Share of the changes of id along rows that pass through an id in between.

    A drawn mask has steps, an anti-aliased or interpolated one has ramps: at most 0.03
    on CamVid's masks, at least 0.18 once they were resized with interpolation.
    """
    return _scan_rows(mask)[1]


def _scan_rows(mask: np.ndarray) -> tuple[dict[int, int], float]:
    """The pixels of each id, and the share of ramps, from the runs of equal ids.

    A mask has few runs. Bands of rows keep the memory of one that has many small.
    """
    width = mask.shape[1]
    pixels = np.zeros(np.iinfo(mask.dtype).max + 1)
    changes = ramps = 0
    flat, size = mask.ravel(), _BAND - _BAND % width or width  # whole rows
    for top in range(0, len(flat), size):
        band = flat[top : top + size]
        begins = (band[1:] != band[:-1]).nonzero()[0]
        begins += 1
        starts = np.empty(len(begins) + 1, np.intp)  # of the runs, from row to row
        starts[0], starts[1:] = 0, begins
        ids = band[starts]
        lengths = np.empty(len(starts), np.intp)
        np.subtract(starts[1:], starts[:-1], out=lengths[:-1])
        lengths[-1] = len(band) - starts[-1]
        pixels += np.bincount(ids, lengths, len(pixels))
        inside = begins % width > 0  # not at the beginning of a row
        changes += int(np.count_nonzero(inside))
        thin = (lengths[1:-1] == 1).nonzero()[0]  # runs between two changes
        if len(thin):
            thin = thin[inside[thin] & inside[thin + 1]]
            rises = ids[thin] < ids[thin + 1], ids[thin + 1] < ids[thin + 2]
            ramps += int(np.count_nonzero(rises[0] == rises[1]))
    found = pixels.nonzero()[0]
    counts = dict(zip(found.tolist(), pixels[found].astype(int).tolist(), strict=True))
    return counts, ramps / changes if changes >= _MIN_CHANGES else 0.0


def pixel_digest(encoded: bytes, role: str) -> str:
    """Of a decodable image or mask: equal for files of the same pixels."""
    array = decode_mask(encoded) if role == MASK else decode_samples(encoded)
    digest = hashlib.sha256(np.ascontiguousarray(array).data)
    digest.update(str((array.shape, array.dtype)).encode())
    return digest.hexdigest()


def _decoded(encoded: bytes, role: str) -> dict[str, Any]:
    if role == IMAGE:
        image, size = decode_reduced(encoded, name="")
        deepest = _deepest(image)
        reduced = image.shape[:2] != size
        if not reduced:  # look at the same part as of a JPEG
            height, width = (max(n - n % BLOCK, min(n, BLOCK)) for n in size)
            image = image[:height, :width]
        return {
            "size": size,
            "deepest": deepest,
            "orientation": exif_orientation(encoded),
            "appearance": appearance_of(image),
            "reduced": reduced,
        }
    if role not in (MASK, MEASURED):
        image = decode_samples(encoded, channels=int(role), name="")
        return {"size": image.shape[:2], "deepest": _deepest(image)}
    mask = decode_mask(encoded, name="")
    ids, ramps = _scan_rows(mask)
    return {
        "size": mask.shape,
        "deepest": _deepest(mask),
        "ids": ids,
        "ramps": ramps,
        "palette": colour_table(encoded),
        "objects": measure_objects(mask) if role == MEASURED else None,
        "faults": tuple(_encoding_faults(encoded)),
    }


def _deepest(array: np.ndarray) -> int:
    return int(array.max()) if array.dtype == np.uint16 else 0


def _undecodable(error: SegError) -> Fault:
    if isinstance(error, TooLargeError):
        return Fault(error.reason, error.remedy, "too-large")
    reason, _, remedy = str(error).removeprefix(": ").partition(". ")
    kind = "unfit-file" if isinstance(error, UnfitError) else "damaged-file"
    return Fault(reason.rstrip("."), remedy, kind)


def _colours_for_ids(image: np.ndarray) -> Fault:
    """The fault of a mask that decodes to (H, W, 3) only."""
    if image.dtype == np.uint16:
        image = image >> 8
    packed = image.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    values, counts = np.unique(packed, return_counts=True)
    frequent = values[np.argsort(-counts, kind="stable")][:3].tolist()
    shown = ", ".join(f"({v >> 16}, {v >> 8 & 255}, {v & 255})" for v in frequent)
    if len(values) > _MANY_COLOURS:
        reason = (
            f"{len(values):,} colours instead of class ids: a photograph, or a "
            "colour-coded mask blurred by resizing or JPEG"
        )
        remedy = "Put a PNG here with one channel whose pixel is the class id."
    else:
        reason = (
            f"a colour-coded mask: {len(values)} colours such as {shown} instead of "
            "class ids"
        )
        remedy = (
            "Map each colour to its class id and save one channel of 8 bits as PNG."
        )
    return Fault(reason, remedy, "colours-for-ids")


def _encoding_faults(encoded: bytes) -> list[Fault]:
    faults = []
    if lossy := lossy_format(encoded):
        reason = f"a {lossy} mask: lossy compression changes the ids near edges"
        remedy = "Export it again from its source as PNG."
        faults.append(Fault(reason, remedy, "lossy-mask", WARNING))
    bits = bits_of_grey(encoded)
    if bits in (1, 2, 4):
        reason = (
            f"a grey mask of {bits} bit(s) a pixel: most readers, if not this one, "
            f"stretch its ids to 0 … 255 (id 1 becomes {255 // (2**bits - 1)})"
        )
        remedy = "Save it with 8 bits a pixel."
        faults.append(Fault(reason, remedy, "stretched-ids", WARNING))
    if is_see_through(encoded):
        reason = "some pixels are transparent: they are of the class that lies beneath"
        remedy = "Where they are to be ignored, write the ignored id; save one channel."
        faults.append(Fault(reason, remedy, "alpha-mask", WARNING))
    return faults
