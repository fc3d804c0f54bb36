"""Class ids of the names that shapes have, with a class for what no shape covers."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from seglib.data.conversion.class_lists import ClassList, Colour
from seglib.data.conversion.foreign import (
    BACKGROUND,
    BACKGROUNDS,
    VOID,
    ReadOptions,
    Size,
)
from seglib.errors import DatasetError, unknown


class ShapeClasses(NamedTuple):
    """Names and colours in id order, the id of each name, and that of no shape."""

    names: tuple[str, ...]
    palette: tuple[Colour, ...]
    ids: Mapping[str, int]
    uncovered: int

    def empty(self, size: Size) -> np.ndarray:
        """A mask without shapes."""
        return np.full(size, self.uncovered, np.uint16)


def number_classes(
    labels: Iterable[str], classes: ClassList | None, options: ReadOptions
) -> ShapeClasses:
    """Number the names of shapes; those of a list keep its order.

    Args:
        labels: all names, in the order that they are to have.
        classes: None: the labels alone tell the classes.
        options: whether there is a background, and which names are ignored.

    Raises:
        DatasetError: a name is not in the list.
    """
    labels = list(labels)
    if classes is None:
        void = {i for i, n in enumerate(labels) if n.casefold() in options.voids}
        classes = ClassList(tuple(labels), (), frozenset(void))
    for label in labels:
        if label not in classes.names and label not in BACKGROUNDS:
            told = unknown("class", label, classes.names)
            raise DatasetError(f"{told} Add it to the list of classes.")
    ids = dict(zip(classes.names, classes.ids(VOID), strict=True))
    names, palette = list(classes.class_names), classes.palette
    grounds = [name for name in names if name in BACKGROUNDS]
    uncovered = ids[grounds[0]] if grounds else VOID
    if options.uncovered_is_void:
        uncovered = VOID
    elif not grounds:
        names.insert(0, BACKGROUND)
        ids = {name: i + (i != VOID) for name, i in ids.items()}
        palette = ((0, 0, 0), *palette) if palette else ()
        uncovered = 0
        if len(set(palette)) < len(palette):
            palette = ()
    ids |= {name: uncovered for name in BACKGROUNDS if name not in ids}
    shown = tuple(BACKGROUND if name in BACKGROUNDS else name for name in names)
    return ShapeClasses(shown, palette, ids, uncovered)
