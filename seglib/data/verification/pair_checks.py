"""What can be wrong with one pair: its files are opened, once, and compared."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from seglib.data.pairs import Pair
from seglib.data.problems import WARNING, Problem
from seglib.data.verification.file_checks import FileFacts
from seglib.data.verification.objects import Objects
from seglib.data.verification.similarity import NOTHING, Appearance


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """The result of opening a pair; a file that cannot be decoded has no facts."""

    pair: Pair
    image: FileFacts | None = None
    mask: FileFacts | None = None
    others: Mapping[str, FileFacts] = field(default_factory=dict)  # further inputs
    faults: Mapping[Path, FileFacts] = field(default_factory=dict)  # files that have

    @classmethod
    def of(cls, pair: Pair, files: Mapping[Path, FileFacts]) -> "Inspection":
        """The result for a pair, from the facts of each of its files."""
        decoded = {path: facts for path, facts in files.items() if facts.size[0]}
        return cls(
            pair=pair,
            image=decoded.get(pair.image),
            mask=decoded.get(pair.mask),
            others={
                name: decoded[path]
                for name, path in pair.others.items()
                if path in decoded
            },
            faults={path: facts for path, facts in files.items() if facts.faults},
        )

    @property
    def problems(self) -> list[Problem]:
        """The findings of its files, and of their sizes."""
        pair, image, mask = self.pair, self.image, self.mask
        problems = [
            Problem(path, *fault)
            for path, facts in self.faults.items()
            for fault in facts.faults
        ]
        if image and mask:
            problems += _check_size(pair, image.size, mask.size, image.orientation)
            problems += _check_rotation(pair.image, image.size, image.orientation)
        if image:
            for name, facts in self.others.items():
                problems += _check_input(pair.others[name], facts.size, image.size)
        return problems

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the image."""
        return self.image.size if self.image else (0, 0)

    @property
    def ids(self) -> Mapping[int, int]:
        """Pixels of the mask by id."""
        return self.mask.ids if self.mask else {}

    @property
    def objects(self) -> Mapping[int, Objects] | None:
        """Objects of the mask by id; None where they were not measured."""
        return self.mask.objects if self.mask else None

    @property
    def ramps(self) -> float:
        """See `ramp_share`."""
        return self.mask.ramps if self.mask else 0.0

    @property
    def palette(self) -> bytes:
        """The mask's colour table, where it has one."""
        return self.mask.palette if self.mask else b""

    @property
    def appearance(self) -> Appearance:
        """The look of the image."""
        return self.image.appearance if self.image else NOTHING


def _check_input(
    path: Path, received: tuple[int, int], image: tuple[int, int]
) -> list[Problem]:
    if received == image:
        return []
    reason = f"size mismatch: the input is {_size(received)}, its image {_size(image)}"
    remedy = "Bring all inputs of a sample to one size."
    return [Problem(path, reason, remedy, "size-mismatch")]


def _check_size(
    pair: Pair, image: tuple[int, int], mask: tuple[int, int], orientation: int
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
    path: Path, size: tuple[int, int], orientation: int
) -> list[Problem]:
    # Where the turn swaps height and width, the sizes tell whether the mask fits.
    if orientation == 1 or (orientation >= 5 and size[0] != size[1]):
        return []
    reason = (
        f"EXIF orientation {orientation}: the image is turned or mirrored when it is "
        "read, and its size cannot tell whether the mask was drawn that way, too"
    )
    remedy = "Look at the overlay; save the image upright and without the tag."
    return [Problem(path, reason, remedy, "exif-rotation", WARNING)]


def _size(shape: tuple[int, int]) -> str:
    return f"{shape[0]}×{shape[1]}"
