"""Shapes with names: their class ids, their points, and the mask that they make."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from seglib.data.conversion.annotation_json import numbers
from seglib.data.conversion.class_lists import ClassList, Colour
from seglib.data.conversion.foreign import (
    BACKGROUND,
    BACKGROUNDS,
    VOID,
    ReadOptions,
    Remark,
    Size,
)
from seglib.errors import DatasetError, SegError, unknown

_FAR = 10  # sizes of the image; points beyond are a mistake, and would take long


class Shape(NamedTuple):
    """A shape whose pixels `cover` gives, bool (H, W), for a size of the image."""

    name: str | None  # of its class
    cover: Callable[[Size, list[Remark], str], np.ndarray]
    where: str


class ShapeClasses(NamedTuple):
    """Names and colours in id order, the id of each name, and that of no shape."""

    names: tuple[str, ...]
    palette: tuple[Colour, ...]
    ids: Mapping[str, int]
    uncovered: int

    def draw(
        self, shapes: Iterable[Shape], size: Size, remarks: list[Remark]
    ) -> np.ndarray:
        """The ids of shapes, uint16 (H, W), each drawn over those before it.

        Shapes that cannot be drawn are told in `remarks`.
        """
        ids = np.full(size, self.uncovered, np.uint16)
        for name, cover, where in shapes:
            try:
                if name is None:
                    raise SegError("an annotation of a category that is not listed")
                covered = cover(size, remarks, where)
                if not covered.any():
                    raise SegError("a shape that covers no pixel of the image")
            except SegError as error:
                remarks.append(Remark(str(error), where))
            else:
                ids[covered] = self.ids[name]
        return ids


def number_classes(labels: Iterable[str], options: ReadOptions) -> ShapeClasses:
    """Number the names of shapes; those of a list keep its order.

    Args:
        labels: all names, in the order that they are to have.
        options: the list, if there is one, whether there is a background, and which
            names are ignored.

    Raises:
        DatasetError: a name is not in the list.
    """
    labels, classes = list(labels), options.classes
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


def read_points(
    given: Any, what: str, size: Size, remarks: list[Remark], where: str
) -> np.ndarray:
    """The corners of a shape, float64 (N, 2), as (x, y).

    Args:
        given: as a document has them.
        what: the kind of shape.

    Raises:
        SegError: they are no pairs of finite numbers, or far outside of the image.
    """
    flat = numbers(given)
    if flat is None or flat.size % 2:
        raise SegError(f"a {what} whose points are no pairs of numbers")
    points, limits = flat.reshape(-1, 2), np.array(size[::-1])
    if (np.abs(points) > _FAR * limits.max()).any():
        raise SegError(f"a {what} far outside of the image")
    if ((points < 0) | (points > limits)).any():
        remarks.append(Remark("points outside of the image: cut at its border", where))
    return points
