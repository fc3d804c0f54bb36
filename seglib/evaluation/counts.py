"""Pixels counted by class, and the scores that are ratios of such counts."""

import io
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from seglib.errors import SegError
from seglib.storage.atomic_write import write_bytes

COUNTS = "counts.npz"  # of an evaluation's folder
FEW_IMAGES = 5  # that carry the score of a class; with fewer it says little
_MOST = 0.8  # of a class's pixels


@dataclass(frozen=True)
class ClassCounts:
    """Pixels by class: integer or float arrays (..., num_classes), and their ratios.

    Leading axes, such as images or resampled sums, stay. A class absent from both
    masks and predictions is NaN and skipped in the means; an absent denominator gives
    NaN.
    """

    correct: np.ndarray  # of the class, and predicted so
    true: np.ndarray  # of the class
    predicted: np.ndarray  # predicted to be of the class

    @property
    def union(self) -> np.ndarray:
        """Pixels that are of the class, or predicted so."""
        return self.true + self.predicted - self.correct

    @property
    def class_iou(self) -> np.ndarray:
        """Intersection over union, float64 (..., num_classes)."""
        return ratio(self.correct, self.union)

    @property
    def class_recall(self) -> np.ndarray:
        """Share of a class's pixels that were found, float64 (..., num_classes)."""
        return ratio(self.correct, self.true)

    @property
    def class_precision(self) -> np.ndarray:
        """Share of a class's predictions that are right, float64 (..., num_classes)."""
        return ratio(self.correct, self.predicted)

    @property
    def class_dice(self) -> np.ndarray:
        """Twice the intersection over the sum of both areas, (..., num_classes)."""
        return ratio(2 * self.correct, self.true + self.predicted)

    @property
    def class_share(self) -> np.ndarray:
        """Share of the counted pixels that are of a class, (..., num_classes)."""
        return ratio(self.true, self.true.sum(-1, keepdims=True))

    @property
    def miou(self) -> Any:
        """Mean IoU over the classes that occur, float64 (...)."""
        return mean(self.class_iou)

    @property
    def mean_dice(self) -> Any:
        """Mean Dice over the classes that occur, float64 (...)."""
        return mean(self.class_dice)

    @property
    def mean_accuracy(self) -> Any:
        """Mean recall over the classes with true pixels, float64 (...)."""
        return mean(self.class_recall)

    @property
    def miou_frequency_weighted(self) -> Any:
        """IoU weighted by each class's share of the true pixels, float64 (...)."""
        weighted = np.where(self.true > 0, self.class_iou * self.class_share, 0)
        return np.where(self.true.any(-1), weighted.sum(-1), np.nan)[()]

    @property
    def pixel_accuracy(self) -> Any:
        """Share of the counted pixels that are right, float64 (...)."""
        return ratio(self.correct.sum(-1), self.true.sum(-1))[()]


@dataclass(frozen=True)
class ImageCounts:
    """Pixels of a model's answers, by image and class: int64 (images, classes).

    The sum of `correct` over the sum of `union` is a class's IoU over any set of
    images. Counts of an evaluation have the other arrays, too: the class's true
    pixels, and those of `boundary_counts`.
    """

    stems: tuple[str, ...]
    correct: np.ndarray
    union: np.ndarray
    true: np.ndarray | None = None
    boundary_correct: np.ndarray | None = None
    boundary_union: np.ndarray | None = None

    @classmethod
    def of(cls, confusions: dict[str, np.ndarray]) -> "ImageCounts":
        """Count from the confusion matrix (classes, classes) of each image, by stem."""
        rows = [
            (np.diag(one), one.sum(0) + one.sum(1) - np.diag(one), one.sum(1))
            for one in confusions.values()
        ]
        return cls(tuple(confusions), *map(np.stack, zip(*rows, strict=True)))

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that there are, by name."""
        named = ((one.name, getattr(self, one.name)) for one in fields(self)[1:])
        return {name: array for name, array in named if array is not None}

    @property
    def classes(self) -> ClassCounts:
        """Of each image, (images, num_classes); needs `true`."""
        return class_counts(self.arrays)

    @property
    def class_iou(self) -> np.ndarray:
        """IoU over all images, float64 (classes,); NaN if a class does not occur."""
        return ratio(self.correct.sum(0), self.union.sum(0))

    @property
    def miou(self) -> float:
        """Mean over the classes that occur."""
        return float(mean(self.class_iou))

    @property
    def class_images(self) -> np.ndarray:
        """Images with true pixels of a class, int64 (classes,)."""
        return np.count_nonzero(self.arrays["true"], axis=0)

    @property
    def class_carriers(self) -> np.ndarray:
        """The fewest images that hold 80 % of a class's true pixels, int64 (classes,).

        Counts are summed over all images, so these few carry the class's score.
        """
        largest = -np.sort(-self.arrays["true"], axis=0)
        held = np.cumsum(largest, axis=0)
        needed = np.count_nonzero(held < _MOST * held[-1], axis=0) + 1
        return np.where(held[-1] > 0, needed, 0)

    @property
    def boundary_iou(self) -> np.ndarray:
        """Boundary IoU of each image and class, float64 (images, classes)."""
        return ratio(*(self.arrays[f"boundary_{n}"] for n in ("correct", "union")))

    @property
    def class_boundary_iou(self) -> np.ndarray:
        """Boundary IoU over all images, float64 (classes,)."""
        sums = (self.arrays[f"boundary_{name}"].sum(0) for name in ("correct", "union"))
        return ratio(*sums)

    def take(self, places: Iterable[int]) -> "ImageCounts":
        """The counts of some images, in this order."""
        chosen = list(places)
        parts = {name: array[chosen] for name, array in self.arrays.items()}
        return ImageCounts(tuple(self.stems[i] for i in chosen), **parts)


def class_counts(arrays: dict[str, np.ndarray]) -> ClassCounts:
    """From `correct`, `union` and `true`."""
    correct, union, true = (arrays[name] for name in ("correct", "union", "true"))
    return ClassCounts(correct, true, union + correct - true)


def write_counts(counts: ImageCounts, path: Path) -> None:
    """Write the counts as one .npz file, atomically."""
    content = io.BytesIO()
    arrays: dict[str, Any] = {"stems": np.asarray(counts.stems), **counts.arrays}
    np.savez_compressed(content, **arrays)
    write_bytes(path, content.getvalue())


def read_counts(path: Path) -> ImageCounts:
    """Read what `write_counts` wrote.

    Raises:
        SegError: no such file, or another one.
    """
    try:
        content = io.BytesIO(Path(path).read_bytes())
        with np.load(content, allow_pickle=False) as file:
            stems = tuple(map(str, file["stems"]))
            arrays = {name: file[name] for name in file.files if name != "stems"}
        counts = ImageCounts(stems, **arrays)
        shapes = {array.shape for array in arrays.values()}
        if shapes != {(len(stems), counts.correct.shape[-1])}:
            raise ValueError(f"shapes {', '.join(map(str, shapes))}")
        return counts
    except (
        *(OSError, ValueError, TypeError, KeyError, IndexError, EOFError),
        *(BadZipFile, zlib.error),
    ) as error:
        raise SegError(
            f"{path}: not the counts of an evaluation ({error}). Evaluate again."
        ) from error


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """A part over the whole, float64; NaN where the whole is 0."""
    part, whole = np.broadcast_arrays(part, whole)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def mean(values: np.ndarray) -> Any:
    """The mean along the last axis, without NaN; NaN where there is nothing else."""
    present = ~np.isnan(values)
    if values.ndim == 1 and present.any():
        return float(values[present].mean())
    total = np.where(present, values, 0).sum(-1)
    return ratio(total, present.sum(-1))[()]
