"""What the writers of all formats do, and the proof that they did it."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from shutil import copyfile

import numpy as np

from seglib.data.conversion.class_lists import Colour
from seglib.data.conversion.foreign import VOID, ForeignDataset, with_void
from seglib.data.dataset import Dataset
from seglib.data.image_io import read_mask
from seglib.data.pairs import Pair
from seglib.errors import SegError, UsageError

# Of names of classes, by the formats' writers.
WRITTEN_VOIDS = frozenset({"void", "__ignore__"})


def read_pairs(dataset: Dataset) -> Iterator[tuple[str, Pair, np.ndarray]]:
    """The split of each pair, the pair, and the ids of its mask."""
    for split, pairs in dataset.splits.items():
        for pair in pairs:
            yield split, pair, read_mask(pair.mask)


def copied(
    dataset: Dataset, folder: Callable[[str], Path]
) -> Iterator[tuple[str, Pair, np.ndarray]]:
    """As `read_pairs`, with each image copied to the folder of its split."""
    for split in dataset.splits:
        folder(split).mkdir(parents=True, exist_ok=True)
    for split, pair, ids in read_pairs(dataset):
        copyfile(pair.image, folder(split) / pair.image.name)
        yield split, pair, ids


def free_colour(dataset: Dataset, candidates: tuple[Colour, ...]) -> Colour:
    """The first colour that no class has, for void.

    Raises:
        UsageError: two classes have one colour.
    """
    if len(set(dataset.palette)) < dataset.num_classes:
        raise UsageError("Two classes have one colour: change `palette`, dataset.yaml.")
    return next(colour for colour in candidates if colour not in dataset.palette)


def require_at_most(dataset: Dataset, format_name: str, most: int = 255) -> None:
    """Raise a UsageError if the masks of a format hold fewer classes."""
    if dataset.num_classes > most:
        raise UsageError(
            f"{format_name}: its masks of 8 bits hold at most {most} classes. "
            f"Received: {dataset.num_classes:,}."
        )


def bounds(where: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the pixels that are set, all of them inside."""
    rows, columns = np.flatnonzero(where.any(1)), np.flatnonzero(where.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def compare_written(
    dataset: Dataset,
    foreign: ForeignDataset,
    names: Mapping[str, str],
    to: str,
    progress: Callable[[int, int], None],
) -> None:
    """Raise a SegError unless all masks are the same as those that were written.

    Args:
        dataset: what was written.
        foreign: what was read again.
        names: new ones of samples.
        to: name of the format.
        progress: called with (masks compared, all masks).
    """
    lookup = np.full(VOID + 1, VOID, np.uint16)
    for index, name in enumerate(foreign.class_names):
        if name in dataset.class_names:
            lookup[index] = dataset.class_names.index(name)
    written = {s.name.rpartition("/")[2]: s for s in foreign.samples}
    count = sum(map(len, dataset.splits.values()))
    for done, (_, pair, mask) in enumerate(read_pairs(dataset), start=1):
        stem, ids = pair.stem, with_void(mask, dataset.ignore_index)
        sample = written.get(names.get(stem, stem))
        if sample is None:
            raise SegError(f"{stem}: lost when it was written as {to}.")
        draw = sample.mask
        read = draw(ids.shape[:2], []) if draw else np.full_like(ids, VOID)
        if not np.array_equal(lookup[read], ids):
            raise SegError(
                f"{stem}: other ids when read again as {to}. The names of classes must "
                "be different, and none of them one that the format uses for void."
            )
        progress(done, count)
