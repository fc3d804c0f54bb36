"""Pixels of each class in masks, and the sums from which classes are weighted."""

from dataclasses import dataclass

import numpy as np

from seglib.errors import SegError


def count_classes(
    mask: np.ndarray, *, num_classes: int, ignore_index: int | None, name: str = ""
) -> np.ndarray:
    """Count the pixels of each class in a mask, without the ignored ones.

    Args:
        mask: unsigned integers (H, W), ids.
        name: of the mask, for the message.

    Returns:
        int64 (num_classes,).

    Raises:
        SegError: it holds an id that is neither a class nor ignored.
    """
    counts = np.bincount(mask.reshape(-1), minlength=num_classes)
    if ignore_index is not None and ignore_index < counts.size:
        counts[ignore_index] = 0
    wrong = np.flatnonzero(counts[num_classes:])
    if wrong.size:
        raise SegError(
            f"{name or 'A training mask'} holds the id {num_classes + int(wrong[0])}. "
            f"Expected: ids below num_classes={num_classes}, or "
            f"ignore_index={ignore_index}. "
            + (
                "Mend the mask, or state `ignore_index`."
                if name
                else "Run `seglib verify`, which names the file."
            )
        )
    return counts[:num_classes]


@dataclass(frozen=True)
class ClassTotals:
    """Sums over masks; those of several sets of masks are added.

    pixels: int64 (num_classes,), of each class.
    surroundings: int64 (num_classes,), labelled pixels of the masks that show a class.
    """

    pixels: np.ndarray
    surroundings: np.ndarray

    @classmethod
    def of(cls, counts: np.ndarray) -> "ClassTotals":
        """The sums of masks whose counts are given, int64 (masks, num_classes)."""
        labelled = counts.sum(1, keepdims=True)
        return cls(counts.sum(0), ((counts > 0) * labelled).sum(0))

    def __add__(self, other: "ClassTotals") -> "ClassTotals":
        return ClassTotals(
            self.pixels + other.pixels, self.surroundings + other.surroundings
        )
