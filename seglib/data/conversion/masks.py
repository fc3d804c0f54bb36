"""Masks of colours, of indices to a colour table, or of ids, by a list of classes."""

from dataclasses import dataclass, field

import numpy as np

from seglib.data.conversion.class_lists import ClassList, Colour, find_class_list
from seglib.data.conversion.foreign import (
    VOID,
    ForeignDataset,
    ReadOptions,
    with_void,
)
from seglib.data.conversion.source import Source
from seglib.data.encodings import colour_table
from seglib.data.fixing.masks import ids_of_colours
from seglib.data.image_io import ColoursError, decode_mask, decode_samples
from seglib.errors import SegError

_VOID_ID = 255  # in masks of ids


@dataclass(frozen=True)
class MaskReader:
    """Reads the masks of a dataset.

    Args:
        classes: None: masks hold ids, whose number is not known.
        more: further colours, and their ids.
        ignored: id of ignored pixels in masks of ids; None: 255, if it is no class.
    """

    classes: ClassList | None
    more: dict[Colour, int] = field(default_factory=dict)
    ignored: int | None = None

    def __call__(self, encoded: bytes, *, name: str) -> np.ndarray:
        """Class ids and `VOID` of an encoded mask, uint16 (H, W).

        Colours of the list are replaced by ids, also those of a colour table and of
        grey masks all of whose values are colours of the list. Other grey values are
        positions in the list, and 255 is void.

        Raises:
            SegError: a colour or an id is not in the list.
        """
        try:
            values = decode_mask(encoded, name=name)
        except ColoursError:
            return self._by_colour(decode_samples(encoded, name=name), name)
        if self.classes is None:
            return with_void(values, self.ignored)
        used = np.unique(values)
        colours = self._colours_of(encoded, used)
        if colours is not None:
            known = self._known()
            if all(colour in known for colour in colours):
                lookup = np.zeros(int(used.max(initial=0)) + 1, np.uint16)
                lookup[used] = [known[colour] for colour in colours]
                return lookup[values]
            if len(set(colours)) > 1 and not self._are_ids(used):
                raise _strange(name, colours, known)
        if not self._are_ids(used):
            most = len(self.classes.names) - 1
            raise SegError(
                f"{name}: the ids {', '.join(map(str, used[-3:]))} are no classes. "
                f"Expected 0 … {most}, and {self._ignored} for ignored pixels"
            )
        if (
            self.ignored is None
            and len(self.classes.names) == 2
            and _is_black_white(used)
        ):
            raise SegError(
                f"{name}: 0 and 255 alone, and two classes: 255 may be the second one. "
                "List it with the colour 255,255,255, or pass --ignore-index 255"
            )
        lookup = np.full(1 << 16, VOID, np.uint16)
        lookup[: len(self.classes.names)] = self.classes.ids(VOID)
        if self.ignored is not None:
            lookup[self.ignored] = VOID
        return lookup[values]

    @property
    def _ignored(self) -> int:
        return _VOID_ID if self.ignored is None else self.ignored

    def _known(self) -> dict[Colour, int]:
        assert self.classes
        return {**self.more, **self.classes.by_colour(VOID)}

    def _colours_of(self, encoded: bytes, used: np.ndarray) -> list[Colour] | None:
        """The colour of each value; None if the list has no colours."""
        if not (self.classes and self.classes.colours):
            return None
        table = colour_table(encoded)
        if not table:
            return [(v, v, v) for v in used.tolist()]
        if used.max(initial=0) >= len(table) // 3:
            return None
        return [
            (table[3 * v], table[3 * v + 1], table[3 * v + 2]) for v in used.tolist()
        ]

    def _are_ids(self, used: np.ndarray) -> bool:
        assert self.classes
        ignored = self._ignored
        return bool(((used < len(self.classes.names)) | (used == ignored)).all())

    def _by_colour(self, image: np.ndarray, name: str) -> np.ndarray:
        if not (self.classes and self.classes.colours):
            raise SegError(
                f"{name}: colours, and no list of classes has them. Give one, such as "
                "lines of name,r,g,b, by --classes"
            )
        known = self._known()
        try:
            return ids_of_colours(image, known, where="the list of classes", remedy="")
        except SegError as error:
            raise SegError(f"{name}: {error}") from error


def read_by_list(
    source: Source, options: ReadOptions
) -> tuple[ForeignDataset, MaskReader]:
    """A dataset without samples, and the reader of its masks, by a list of classes.

    Without such a list the ids alone tell how many classes there are.
    """
    classes = options.classes or find_class_list(source.root, options.voids)
    names, palette = (classes.class_names, classes.palette) if classes else ((), ())
    reader = MaskReader(classes, ignored=options.ignore_index)
    return ForeignDataset(names, palette), reader


def _is_black_white(used: np.ndarray) -> bool:
    return 255 in used and set(used.tolist()) <= {0, 255}


def _strange(name: str, colours: list[Colour], known: dict[Colour, int]) -> SegError:
    missing = [colour for colour in colours if colour not in known]
    told = ", ".join(map(str, missing[:3]))
    return SegError(
        f"{name}: {len(missing):,} of its colours are of no class in the list of "
        f"classes: {told}"
    )
