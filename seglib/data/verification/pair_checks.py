"""What can be wrong with one pair: its two files are opened, once, and looked at."""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from seglib.data.encodings import bits_of_grey, colour_table
from seglib.data.file_formats import (
    TooLargeError,
    check_size,
    exif_orientation,
    find_damage,
    lossy_format,
    max_file_bytes,
)
from seglib.data.image_io import (
    ColoursError,
    UnfitError,
    decode_image,
    decode_mask,
    decode_samples,
    is_see_through,
)
from seglib.data.pairs import Inputs, Pair
from seglib.data.problems import WARNING, Problem
from seglib.data.verification.objects import Objects, measure_objects
from seglib.data.verification.similarity import NOTHING, Appearance, appearance_of
from seglib.errors import SegError
from seglib.storage.files import read_file

_MIN_CHANGES = 50  # along a mask's rows; fewer say nothing of its edges
_MANY_COLOURS = 256  # more than any colour code has
_MAX_EXACT_COUNT = 1 << 24  # cv2.calcHist counts in float32


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """A file as it lies on the disk, and what its decoded pixels come to."""

    size_bytes: int
    md5: str
    deepest: int = 0  # largest value of an image of 16 bits a sample; else 0


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The result of opening a pair; a file that cannot be decoded has no facts."""

    pair: Pair
    image: FileFacts | None = None
    mask: FileFacts | None = None
    size: tuple[int, int] = (0, 0)  # (height, width)
    ids: Mapping[int, int] = field(default_factory=dict)  # of the mask: id -> pixels
    ramps: float = 0.0  # of the mask, see `ramp_share`
    palette: bytes = b""  # the mask's colour table, where it has one
    appearance: Appearance = NOTHING  # of the image
    others: Mapping[str, FileFacts] = field(default_factory=dict)  # further inputs
    objects: Mapping[int, Objects] | None = None  # by id, of the masks measured
    problems: tuple[Problem, ...] = ()


def inspect_pair(
    pair: Pair, others: Inputs | None = None, measured: Collection[Path] = ()
) -> Inspection:
    """Open the files of a pair and gather their problems.

    Args:
        others: name and channels of the inputs beside the image.
        measured: the masks whose objects are measured.
    """
    problems: list[Problem] = []
    image_bytes, image = _open(pair.image, decode_samples, problems)
    mask_bytes, mask = _open(pair.mask, decode_mask, problems)
    if image is not None and mask is not None:
        orientation = exif_orientation(image_bytes)
        problems += _check_size(pair, image.shape[:2], mask.shape, orientation)
        problems += _check_rotation(pair.image, image.shape[:2], orientation)
    if mask is not None:
        problems += _check_encoding(pair.mask, mask_bytes)
    size = None if image is None else image.shape[:2]
    opened = {
        name: _open_other(pair.others[name], channels, size, problems)
        for name, channels in (others or {}).items()
        if name in pair.others
    }
    return Inspection(
        pair=pair,
        image=None if image is None else _facts(image_bytes, image),
        mask=None if mask is None else _facts(mask_bytes, mask),
        size=(0, 0) if image is None else image.shape[:2],
        ids={} if mask is None else count_ids(mask),
        ramps=0.0 if mask is None else ramp_share(mask),
        palette=b"" if mask is None else colour_table(mask_bytes),
        appearance=NOTHING if image is None else appearance_of(image),
        objects=None
        if mask is None or pair.mask not in measured
        else measure_objects(mask),
        problems=tuple(problems),
        others={name: facts for name, facts in opened.items() if facts},
    )


def count_ids(mask: np.ndarray) -> dict[int, int]:
    """Pixels of each id of a mask uint8 or uint16 (H, W), in id order."""
    if mask.dtype == np.uint8 and mask.size < _MAX_EXACT_COUNT:
        # Three times as fast as bincount, and threads run it side by side.
        counts = cv2.calcHist([mask], [0], None, [256], [0, 256]).ravel()
    else:
        counts = np.bincount(mask.ravel())
    return {int(index): int(counts[index]) for index in np.flatnonzero(counts)}


def ramp_share(mask: np.ndarray) -> float:
    """Share of the changes of id along rows that pass through an id in between.

    A drawn mask has steps, an anti-aliased or interpolated one has ramps: at most 0.03
    on CamVid's masks, at least 0.18 once they were resized with interpolation.
    """
    if mask.shape[1] < 3:
        return 0.0
    left, right = mask[:, :-1], mask[:, 1:]
    up = cv2.compare(left, right, cv2.CMP_LT)
    down = cv2.compare(left, right, cv2.CMP_GT)
    changes = cv2.countNonZero(up) + cv2.countNonZero(down)
    if changes < _MIN_CHANGES:
        return 0.0
    ramps = [cv2.bitwise_and(step[:, :-1], step[:, 1:]) for step in (up, down)]
    return sum(map(cv2.countNonZero, ramps)) / changes


def pixel_digest(path: Path) -> str:
    """Of an image that can be decoded: equal for files of the same pixels."""
    return _digest(decode_samples(read_file(path), name=str(path)))


def mask_digest(path: Path) -> str:
    """Of a mask that can be decoded: equal for files of the same ids."""
    return _digest(decode_mask(read_file(path), name=str(path)))


def _digest(array: np.ndarray) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(array).data)
    digest.update(str((array.shape, array.dtype)).encode())
    return digest.hexdigest()


def _open(
    path: Path, decode: Callable[..., np.ndarray], problems: list[Problem]
) -> tuple[bytes, np.ndarray | None]:
    encoded = _read(path, problems)
    if encoded is None:
        return b"", None
    try:
        return encoded, decode(encoded, name=str(path))
    except ColoursError:
        problems.append(_colours_for_ids(path, decode_image(encoded, name=str(path))))
    except SegError as error:
        problems.append(_undecodable(path, error))
    return encoded, None


def _open_other(
    path: Path,
    channels: int,
    size: tuple[int, ...] | None,
    problems: list[Problem],
) -> FileFacts | None:
    encoded, image = _open(path, partial(decode_samples, channels=channels), problems)
    if image is None:
        return None
    if size and image.shape[:2] != size:
        reason = (
            f"size mismatch: the input is {_size(image.shape)}, its image {_size(size)}"
        )
        remedy = "Bring all inputs of a sample to one size."
        problems.append(Problem(path, reason, remedy, "size-mismatch"))
    return _facts(encoded, image)


def _read(path: Path, problems: list[Problem]) -> bytes | None:
    try:
        encoded = read_file(path, max_bytes=max_file_bytes())
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
        problems.append(Problem(path, reason, "Check its rights.", "unreadable-file"))
        return None
    damage = find_damage(encoded)
    if damage:
        problems.append(_damaged(path, damage))
        return None
    try:
        check_size(encoded, str(path))
    except TooLargeError as error:
        problems.append(Problem(path, error.reason, error.remedy, "too-large"))
        return None
    except SegError as error:
        problems.append(_undecodable(path, error))
        return None
    return encoded


def _undecodable(path: Path, error: SegError) -> Problem:
    reason, _, remedy = str(error).removeprefix(f"{path}: ").partition(". ")
    kind = "unfit-file" if isinstance(error, UnfitError) else "damaged-file"
    return Problem(path, reason.rstrip("."), remedy, kind)


def _damaged(path: Path, reason: str) -> Problem:
    return Problem(
        path,
        reason,
        "Restore it, or remove it together with its partner.",
        "damaged-file",
    )


def _colours_for_ids(path: Path, image: np.ndarray) -> Problem:
    """The problem of a mask that decodes to uint8 (H, W, 3) only."""
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
    return Problem(path, reason, remedy, "colours-for-ids")


def _check_size(
    pair: Pair, image: tuple[int, ...], mask: tuple[int, ...], orientation: int
) -> list[Problem]:
    if image == mask:
        return []
    reason = f"size mismatch: the image is {_size(image)}, the mask {_size(mask)}"
    remedy = "Export the mask at the image's size."
    if image == mask[::-1] and orientation >= 5:
        reason += (
            f"; the image's EXIF orientation {orientation} turns it upright from "
            f"{_size(mask)}, and the mask was drawn on the unturned pixels"
        )
        remedy = (
            "Turn the mask in the same way, or, if the photograph looks right "
            "unturned, remove the image's orientation tag."
        )
    elif image == mask[::-1]:
        reason += "; height and width are swapped"
        remedy = "Turn the mask, or the image, by 90°."
    elif abs(image[0] * mask[1] - image[1] * mask[0]) < max(*image, *mask):
        remedy = "Resize the mask to the image's size with nearest neighbour."
    return [Problem(pair.mask, reason, remedy, "size-mismatch")]


def _check_rotation(
    path: Path, size: tuple[int, ...], orientation: int
) -> list[Problem]:
    # Where the turn swaps height and width, the sizes tell whether the mask fits.
    if orientation == 1 or (orientation >= 5 and size[0] != size[1]):
        return []
    reason = (
        f"EXIF orientation {orientation}: the image is turned or mirrored when it is "
        "read, and its size cannot tell whether the mask was drawn that way, too"
    )
    remedy = "Appearance at the overlay; save the image upright and without the tag."
    return [Problem(path, reason, remedy, "exif-rotation", WARNING)]


def _check_encoding(path: Path, encoded: bytes) -> list[Problem]:
    problems = []
    if lossy := lossy_format(encoded):
        reason = f"a {lossy} mask: lossy compression changes the ids near edges"
        remedy = "Export it again from its source as PNG."
        problems.append(Problem(path, reason, remedy, "lossy-mask", WARNING))
    bits = bits_of_grey(encoded)
    if bits in (1, 2, 4):
        reason = (
            f"a grey mask of {bits} bit(s) a pixel: most readers, if not this one, "
            f"stretch its ids to 0 … 255 (id 1 becomes {255 // (2**bits - 1)})"
        )
        remedy = "Save it with 8 bits a pixel."
        problems.append(Problem(path, reason, remedy, "stretched-ids", WARNING))
    if is_see_through(encoded):
        reason = "some pixels are transparent: they are of the class that lies beneath"
        remedy = "Where they are to be ignored, write the ignored id; save one channel."
        problems.append(Problem(path, reason, remedy, "alpha-mask", WARNING))
    return problems


def _facts(encoded: bytes, array: np.ndarray) -> FileFacts:
    return FileFacts(
        size_bytes=len(encoded),
        md5=hashlib.md5(encoded, usedforsecurity=False).hexdigest(),
        deepest=int(array.max()) if array.dtype == np.uint16 else 0,
    )


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}×{shape[1]}"
