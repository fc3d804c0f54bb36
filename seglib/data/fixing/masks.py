"""The ids that a mask means, where there is one right answer.

What cannot be told, such as the ids near the edges of a mask that was saved as JPEG, is
left as it is: `verify` goes on naming it.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

from seglib.data.dataset import Dataset
from seglib.data.encodings import colour_table
from seglib.data.file_formats import exif_orientation, max_file_bytes
from seglib.data.image_io import decode_mask, decode_samples
from seglib.data.verification.mask_checks import VOID_IDS, total_ids
from seglib.data.verification.pair_checks import Inspection
from seglib.errors import SegError
from seglib.storage.files import read_file

_LEAST_FACTOR = 10  # between ids that were stretched to be looked at
_IDS = 1 << 16

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class FixedMask:
    """The ids of a mask, and what was wrong, kind by kind."""

    ids: np.ndarray  # uint8 or uint16 (H, W)
    told: Mapping[str, str]


class Renumbering(NamedTuple):
    """New ids for all masks."""

    ids: np.ndarray  # uint16 (65536,): the new id of each id
    told: str
    kind: str = ""  # of the problem


@dataclass(frozen=True)
class MaskFixer:
    """What all masks of a dataset have in common, learnt from their inspections.

    Args:
        dataset: as it was listed.
        colours: id of each colour, as a person stated it.
        palette: colour table of most masks, where the tables differ.
        tables_differ: whether they do.
        renumbered: where all ids of the dataset are wrong in one way.
    """

    dataset: Dataset
    colours: Mapping[Colour, int] = field(default_factory=dict)
    palette: bytes = b""
    tables_differ: bool = False
    renumbered: Renumbering | None = None

    @classmethod
    def learn(
        cls,
        dataset: Dataset,
        inspections: Iterable[Inspection],
        *,
        num_classes: int,
        colours: Mapping[Colour, int],
        wrong_ids: str,
    ) -> "MaskFixer":
        """Learn from all masks of a dataset how they are to be read.

        Args:
            num_classes: as a person stated it; 0: the masks alone tell.
            colours: id of each colour, as a person stated it.
            wrong_ids: kind of the problem that was found in their ids; "": none.
        """
        every = list(inspections)
        tables = Counter(i.palette for i in every if i.palette)
        longest = max(tables, key=len, default=b"")
        differ = any(not longest.startswith(table) for table in tables)
        renumbered = None
        if wrong_ids and not differ:
            ids = total_ids(every).keys() - {dataset.ignore_index}
            found = _stretched(ids, num_classes) or _offset(ids, num_classes)
            renumbered = found and found._replace(kind=wrong_ids)
        common, count = tables.most_common(1)[0] if differ else (b"", 0)
        palette = common if 2 * count > tables.total() else b""
        return cls(dataset, colours, palette, differ, renumbered)

    def fix(
        self, inspection: Inspection, problems: Collection[str]
    ) -> FixedMask | None:
        """What a mask means; None if it is right as it is, or nobody can tell.

        Args:
            problems: the kinds that were found in it.
        """
        path = inspection.pair.mask
        encoded = read_file(path, max_bytes=max_file_bytes())
        told: dict[str, str] = {}
        if inspection.mask is None:
            ids = self._unreadable(encoded, problems, told)
        else:
            ids = decode_mask(encoded, name=str(path))
            if self.tables_differ and inspection.palette:
                ids = self._by_colour_table(ids, colour_table(encoded), told)
            elif self.renumbered:
                ids = self._renumber(ids, told)
        if ids is None:
            return None
        ids = self._turned(ids, inspection, problems, told)
        self._tell_encoding(ids, encoded, inspection, problems, told)
        if not told:
            return None
        if ids.max(initial=0) < 256:
            ids = ids.astype(np.uint8)
        return FixedMask(np.ascontiguousarray(ids), told)

    def _renumber(self, ids: np.ndarray, told: dict[str, str]) -> np.ndarray:
        assert self.renumbered
        new = self.renumbered.ids[ids]
        if (new != ids).any():
            told[self.renumbered.kind] = self.renumbered.told
        return new

    def _unreadable(
        self, encoded: bytes, problems: Collection[str], told: dict[str, str]
    ) -> np.ndarray | None:
        if "colours-for-ids" in problems and self.colours:
            image = decode_samples(encoded)
            if image.dtype != np.uint8:
                return None
            told["colours-for-ids"] = "colours replaced by the class ids of the palette"
            return ids_of_colours(image, self.colours)
        if "unfit-file" in problems:
            buffer = np.frombuffer(encoded, np.uint8)
            image = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)
            if image is None or image.ndim != 3 or image.shape[2] != 4:
                return None
            alpha = image[..., 3]
            if image[..., :3].any() or not np.isin(alpha, (0, 255)).all():
                return None
            told["unfit-file"] = "alpha 0 and 255 replaced by the ids 0 and 1"
            return (alpha > 0).astype(np.uint8)
        return None

    def _by_colour_table(
        self, ids: np.ndarray, table: bytes, told: dict[str, str]
    ) -> np.ndarray | None:
        """Ids by the colours that they have in the mask's own table."""
        known = self.colours or _first_of_each(self.palette)
        own = [tuple(table[i : i + 3]) for i in range(0, len(table), 3)]
        used = np.unique(ids)
        if used.max() >= len(own) or any(own[i] not in known for i in used):
            return None
        told["palettes-differ"] = "indices brought to one colour table"
        lookup = np.zeros(256, np.uint16)
        for index in used:
            lookup[index] = known[own[index]]
        return lookup[ids]

    def _turned(
        self,
        ids: np.ndarray,
        inspection: Inspection,
        problems: Collection[str],
        told: dict[str, str],
    ) -> np.ndarray:
        """The mask as its image is turned, if it was drawn on the unturned pixels."""
        if "size-mismatch" not in problems or inspection.size != ids.shape[::-1]:
            return ids
        image = read_file(inspection.pair.image, max_bytes=max_file_bytes())
        orientation = exif_orientation(image)
        if orientation not in TURNS:
            return ids
        told["size-mismatch"] = (
            f"turned as its image, by EXIF orientation {orientation}"
        )
        return TURNS[orientation](ids)

    def _tell_encoding(
        self,
        ids: np.ndarray,
        encoded: bytes,
        inspection: Inspection,
        problems: Collection[str],
        told: dict[str, str],
    ) -> None:
        """Add why a mask is to be saved anew with the ids it has."""
        if "stretched-ids" in problems:
            told["stretched-ids"] = "saved with 8 bits a pixel"
        if "alpha-mask" in problems and self._is_beneath_plain(encoded, ids):
            told["alpha-mask"] = "saved without its alpha channel"
        if inspection.mask and 0 < inspection.mask.deepest < 256:
            told["deep-mask"] = "16 bits a pixel brought to the 8 that hold its ids"

    def _is_beneath_plain(self, encoded: bytes, ids: np.ndarray) -> bool:
        """Whether transparent pixels can only mean the ids that they have."""
        ignored = self.dataset.ignore_index
        if ignored is None:
            return True
        image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
        alpha = image[..., -1]
        clear = alpha < np.iinfo(alpha.dtype).max
        return clear.shape == ids.shape and bool((ids[clear] == ignored).all())


def ids_of_colours(
    image: np.ndarray,
    colours: Mapping[Colour, int],
    *,
    where: str = "the palette of dataset.yaml",
    remedy: str = "; for ignored pixels, pass --ignored-color",
) -> np.ndarray:
    """Class ids (H, W) of an RGB image uint8 (H, W, 3).

    Args:
        image: the pixels.
        colours: id of each colour.
        where: they are listed, for the message.
        remedy: the end of the message.

    Raises:
        SegError: a pixel has none of the colours; names the most frequent ones.
    """
    packed = image.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    codes = {(r << 16) + (g << 8) + b: index for (r, g, b), index in colours.items()}
    values, inverse, counts = np.unique(packed, return_inverse=True, return_counts=True)
    strange = [i for i, value in enumerate(values.tolist()) if value not in codes]
    if strange:
        worst = sorted(strange, key=lambda i: -counts[i])[:3]
        shown = ", ".join(
            f"({v >> 16}, {v >> 8 & 255}, {v & 255}) in {counts[i]:,} pixels"
            for i in worst
            for v in [int(values[i])]
        )
        raise SegError(
            f"{len(strange):,} of its colours are of no class in {where}: {shown}. "
            f"Add them there{remedy}"
        )
    lookup = np.array([codes[value] for value in values.tolist()], np.uint16)
    return lookup[inverse].reshape(packed.shape)


def _first_of_each(table: bytes) -> dict[Colour, int]:
    """The first index of each colour of a table."""
    colours: dict[Colour, int] = {}
    for index in range(len(table) // 3):
        red, green, blue = table[3 * index : 3 * index + 3]
        colours.setdefault((red, green, blue), index)
    return colours


def _stretched(ids: Collection[int], num_classes: int) -> Renumbering | None:
    """Ids divided by the number that all of them are multiples of."""
    factor = math.gcd(*ids) if ids else 0
    if factor < _LEAST_FACTOR or (num_classes and max(ids) < num_classes):
        return None
    classes = {i // factor for i in ids}
    if num_classes:
        fits = max(classes) < num_classes
        # The largest id alone may be void, unless there is no other second class.
        fits = fits and (factor not in VOID_IDS or num_classes == 2)
    else:  # only ids without a gap tell that these are all
        fits = classes == set(range(len(classes)))
    if not fits:
        return None
    table = np.arange(_IDS, dtype=np.uint16)
    table[::factor] = np.arange(len(table[::factor]))
    return Renumbering(table, f"ids divided by {factor}")


def _offset(ids: Collection[int], num_classes: int) -> Renumbering | None:
    """Ids that were counted from 1."""
    counted = set(ids) - set(VOID_IDS)
    if not num_classes or not counted:
        return None
    if max(counted) != num_classes or min(counted) < 1:
        return None
    table = np.arange(_IDS, dtype=np.uint16)
    table[1 : num_classes + 1] -= 1
    return Renumbering(table, "ids counted from 0 in place of 1")


# How pixels are turned upright, by EXIF orientation (EXIF 2.32, 4.6.4); the others keep
# the size, so that a mask of the right size may have been turned or not.
TURNS: Mapping[int, Callable[[np.ndarray], np.ndarray]] = {
    5: lambda pixels: pixels.T,
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).T,
    8: lambda pixels: np.rot90(pixels, 1),
}
