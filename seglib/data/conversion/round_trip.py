"""The proof that a dataset was written in a format of others as it is."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from seglib.data.conversion.foreign import VOID, ReadOptions, with_void
from seglib.data.conversion.formats import FORMATS
from seglib.data.dataset import Dataset
from seglib.data.image_io import read_mask
from seglib.errors import SegError

_WRITTEN_VOIDS = frozenset({"void", "__ignore__"})  # by the formats' writers


def compare_written(
    dataset: Dataset, out: Path, to: str, progress: Callable[[int, int], None]
) -> None:
    """Read what was written, and raise a SegError unless all masks are the same."""
    options = ReadOptions(None, _WRITTEN_VOIDS, uncovered_is_void=True)
    foreign = FORMATS[to].read(out, options)
    lookup = np.full(VOID + 1, VOID, np.uint16)
    for index, name in enumerate(foreign.class_names):
        if name in dataset.class_names:
            lookup[index] = dataset.class_names.index(name)
    written = {s.name.rpartition("/")[2]: s for s in foreign.samples}
    pairs = list(_pairs(dataset))
    for done, (stem, path) in enumerate(pairs, start=1):
        ids = with_void(read_mask(path), dataset.ignore_index)
        sample = written.get(stem)
        if sample is None:
            raise SegError(f"{stem}: lost when it was written as {to}.")
        read = (
            sample.mask(ids.shape[:2], []) if sample.mask else np.full_like(ids, VOID)
        )
        if not np.array_equal(lookup[read], ids):
            raise SegError(
                f"{stem}: other ids when read again as {to}. The names of classes must "
                "be different, and none of them one that the format uses for void."
            )
        progress(done, len(pairs))


def _pairs(dataset: Dataset) -> Iterator[tuple[str, Path]]:
    for pairs in dataset.splits.values():
        for pair in pairs:
            yield pair.stem, pair.mask
