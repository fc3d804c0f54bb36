"""Shards of samples that are made one after the other, in files that grow together."""

from collections.abc import Iterable
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seglib.data.class_totals import ClassTotals
from seglib.data.shards.index import Shard
from seglib.data.shards.tars import TarWriter

SHARD_BYTES = 32 << 20  # about: a window of training is a few of them
_MOST_OPEN = 256  # files
_MEASURED = 16  # samples, from which the number of shards is estimated


class NewSample(NamedTuple):
    """An encoded sample: its parts by name, the mask last, and its pixels by class."""

    stem: str
    parts: dict[str, bytes]
    class_pixels: np.ndarray  # int64 (num_classes,)


def shard_name(split: str, number: int, count: int) -> str:
    """`train-00003-of-00010.tar`."""
    return f"{split}-{number:05}-of-{count:05}.tar"


def write_shards(
    folder: Path, samples: Iterable[NewSample], *, count: int, least: int, split: str
) -> tuple[tuple[Shard, ...], ClassTotals]:
    """Deal samples round-robin to new shards, more than `least` where these are large.

    Args:
        folder: gets the files.
        samples: of which the first few tell how large they are.
        count: of the samples.
        least: shards, unless there are fewer samples.
        split: for the names.
    """
    waiting = iter(samples)
    first = [*islice(waiting, _MEASURED)]
    sizes = [sum(map(len, sample.parts.values())) for sample in first]
    needed = int(np.mean(sizes)) * count // SHARD_BYTES
    number = max(1, min(max(least, min(needed, _MOST_OPEN)), count))
    names = [shard_name(split, i, number) for i in range(number)]
    totals = None
    with ExitStack() as opened:
        writers = [
            TarWriter(opened.enter_context((folder / name).open("wb")))
            for name in names
        ]
        for place, sample in enumerate(chain(first, waiting)):
            writers[place % number].add(place, sample.stem, sample.parts)
            own = ClassTotals.of(sample.class_pixels[None])
            totals = own if totals is None else totals + own
        for writer in writers:
            writer.close()
    if totals is None:
        raise ValueError("no samples")
    shards = (
        Shard(
            name=name,
            samples=writer.samples,
            size_bytes=writer.size_bytes,
            sha256=writer.sha256,
        )
        for name, writer in zip(names, writers, strict=True)
    )
    return tuple(shards), totals
