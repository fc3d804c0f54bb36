"""The shards of a split, each made of the files of some pairs, in a random order.

A shard is written with a file of its facts, from which the index is made at the end: an
interrupted writer goes on where it was.
"""

import json
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from seglib.data.class_totals import ClassTotals, count_classes
from seglib.data.dataset import Dataset
from seglib.data.file_formats import check_size, exif_orientation
from seglib.data.image_io import decode_mask
from seglib.data.pairs import IMAGE, Pair, spread
from seglib.data.read_ahead import read_ahead
from seglib.data.shards.index import (
    ANY_CHANNELS,
    FORMAT_VERSION,
    INDEX_FILE,
    Shard,
    ShardIndex,
)
from seglib.data.shards.tars import TarWriter
from seglib.data.shards.writing import NewSample, shard_name
from seglib.data.tree import Tree
from seglib.errors import SegError
from seglib.storage.backends import MissingObjectError, Remote
from seglib.storage.documents import parse_json

logger = logging.getLogger(__name__)

_WRITERS = 2  # shards that are stored at once; each is in memory
_MEASURED = 64  # pairs, from which the number of samples of a shard is estimated
_OWN = re.compile(r"[a-z]+-\d{5}-of-\d{5}\.tar(\.json)?")
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap height and width


@dataclass(frozen=True, kw_only=True)
class Packed:
    """What is kept of a shard until the index is written."""

    key: str
    shard: Shard
    class_pixels: tuple[int, ...]
    class_surroundings: tuple[int, ...]


_ADAPTER = TypeAdapter(Packed)


@dataclass(frozen=True)
class Packing:
    """The pairs of a split in their new order, and how they are cut into shards."""

    dataset: Dataset
    tree: Tree
    split: str
    pairs: Sequence[Pair]
    order: np.ndarray  # indices of the pairs
    per_shard: int
    key: str  # stands for all of it: what has another key is made again

    @classmethod
    def plan(
        cls, dataset: Dataset, tree: Tree, split: str, *, shard_bytes: int, seed: int
    ) -> "Packing":
        """Choose the order and the shards of a split; reads some of its files.

        Raises:
            DatasetError: there is no such split.
            SegError: a file cannot be read.
        """
        pairs = dataset.pairs(split)
        some = [
            sum(len(_read(tree, path)) for path in pair.all_files())
            for pair in spread(pairs, _MEASURED)
        ]
        count = -(-len(pairs) * sum(some) // (len(some) * shard_bytes))
        per_shard = -(-len(pairs) // max(1, count))  # nearly the same of all
        order = np.random.default_rng(seed).permutation(len(pairs))
        facts = [
            *(FORMAT_VERSION, split, per_shard),
            *(dataset.num_classes, dataset.ignore_index, *dataset.others),
        ]
        key = sha256(json.dumps(facts).encode() + order.tobytes())
        for path in (path for pair in pairs for path in pair.all_files()):
            stands_for = tree.md5(path) or tree.identity(path)
            key.update(f"{path} {stands_for}\n".encode("utf-8", "backslashreplace"))
        return cls(dataset, tree, split, pairs, order, per_shard, key.hexdigest())

    @property
    def names(self) -> list[str]:
        count = -(-len(self.pairs) // self.per_shard)
        return [shard_name(self.split, number, count) for number in range(count)]

    def write(
        self, target: Remote, progress: Callable[[int, int], None]
    ) -> list[Packed]:
        """Write the shards that are not there yet; returns the facts of all."""
        found = self._found(target)
        todo = [number for number, one in enumerate(found) if one is None]
        done = sum(one.shard.samples for one in found if one)
        if done:
            logger.info("going on: %d of %d shards are there", *_count(found))
        progress(done, len(self.pairs))

        def members(number: int) -> np.ndarray:
            return self.order[number * self.per_shard :][: self.per_shard]

        def store(made: tuple[Packed, bytes]) -> Packed:
            packed, content = made
            target.write(packed.shard.name, content)
            facts = json.dumps(_ADAPTER.dump_python(packed, mode="json"))
            target.write(_facts_name(packed.shard.name), facts.encode())
            return packed

        with (
            ThreadPoolExecutor(self.tree.threads) as readers,
            ThreadPoolExecutor(_WRITERS) as writers,
        ):
            wanted = (self.pairs[i] for number in todo for i in members(number))
            samples = read_ahead(
                readers, self._sample, wanted, most=lambda: 4 * self.tree.threads
            )
            made = (
                self._shard(number, islice(samples, len(members(number))))
                for number in todo
            )
            stored = read_ahead(writers, store, made, most=lambda: _WRITERS)
            for number, packed in zip(todo, stored, strict=True):
                found[number] = packed
                done += packed.shard.samples
                progress(done, len(self.pairs))
        return [one for one in found if one]

    def index(self, packed: Sequence[Packed]) -> ShardIndex:
        pixels = np.sum([one.class_pixels for one in packed], axis=0)
        around = np.sum([one.class_surroundings for one in packed], axis=0)
        return ShardIndex(
            inputs={IMAGE: ANY_CHANNELS, **self.dataset.others},
            shards=tuple(one.shard for one in packed),
            class_pixels=tuple(pixels.tolist()),
            class_surroundings=tuple(around.tolist()),
            made_of={
                "key": self.key,
                "data": str(self.dataset.root),
                "split": self.split,
                "class_names": list(self.dataset.class_names),
                "ignore_index": self.dataset.ignore_index,
            },
        )

    def _found(self, target: Remote) -> list[Packed | None]:
        """The facts of the shards that an interrupted call has written."""
        names = self.names
        sizes = target.sizes([*names, *map(_facts_name, names)])
        found: list[Packed | None] = [None] * len(names)
        for number, name in enumerate(names):
            if name in sizes and _facts_name(name) in sizes:
                one = _read_facts(target, name)
                if one and (one.key, one.shard.size_bytes) == (self.key, sizes[name]):
                    found[number] = one
        return found

    def _shard(self, number: int, samples: Iterable[NewSample]) -> tuple[Packed, bytes]:
        content, counts = BytesIO(), []
        writer = TarWriter(content)
        for place, sample in enumerate(samples, start=number * self.per_shard):
            writer.add(place, sample.stem, sample.parts)
            counts.append(sample.class_pixels)
        writer.close()
        totals = ClassTotals.of(np.array(counts))
        shard = Shard(
            name=self.names[number],
            samples=writer.samples,
            size_bytes=writer.size_bytes,
            sha256=writer.sha256,
        )
        packed = Packed(
            key=self.key,
            shard=shard,
            class_pixels=tuple(totals.pixels.tolist()),
            class_surroundings=tuple(totals.surroundings.tolist()),
        )
        return packed, content.getvalue()

    def _sample(self, pair: Pair) -> NewSample:
        paths = {
            **dict(zip((IMAGE, *self.dataset.others), self._images(pair), strict=True)),
            "mask": pair.mask,
        }
        parts = {name: _read(self.tree, path) for name, path in paths.items()}
        sizes = {name: _upright_size(part, paths[name]) for name, part in parts.items()}
        for name, size in sizes.items():
            if size != sizes["mask"]:
                raise SegError(
                    f"{paths[name]}: {size[0]}×{size[1]} pixels, its mask "
                    f"{sizes['mask'][0]}×{sizes['mask'][1]}. Run `seglib verify`."
                )
        counts = count_classes(
            decode_mask(parts["mask"], name=str(pair.mask)),
            num_classes=self.dataset.num_classes,
            ignore_index=self.dataset.ignore_index,
            name=str(pair.mask),
        )
        return NewSample(pair.stem, parts, counts)

    def _images(self, pair: Pair) -> list[Path]:
        return pair.files({IMAGE: ANY_CHANNELS, **self.dataset.others})


def _read(tree: Tree, path: Path) -> bytes:
    try:
        return tree.read(path)
    except OSError as error:
        raise SegError(f"{path}: cannot be read ({error.strerror}).") from error


def _upright_size(encoded: bytes, path: Path) -> tuple[int, int]:
    header = check_size(encoded, str(path))
    if exif_orientation(encoded) in _TURNED:
        return header.width, header.height
    return header.height, header.width


def _facts_name(name: str) -> str:
    return f"{name}.json"


def _read_facts(target: Remote, name: str) -> Packed | None:
    """The facts of a shard; None if they cannot be understood."""
    with suppress(MissingObjectError, ValidationError):
        return _ADAPTER.validate_json(target.read(_facts_name(name)).content)
    return None


def made_of(target: Remote) -> dict[str, Any]:
    """What the shards at a place were made of; empty if there are none."""
    try:
        content = target.read(INDEX_FILE).content
    except MissingObjectError:
        return {}
    tree = parse_json(content, name=target.name(INDEX_FILE))
    made_of = tree.get("made_of") if isinstance(tree, dict) else None
    return made_of if isinstance(made_of, dict) and made_of else {"key": ""}


def _count(found: Sequence[Packed | None]) -> tuple[int, int]:
    return sum(one is not None for one in found), len(found)


def clear(target: Remote, index: ShardIndex) -> None:
    """Delete facts, and the shards of an earlier index."""
    kept = {shard.name for shard in index.shards}
    for listed in list(target.objects("")):
        if _OWN.fullmatch(listed.key) and listed.key not in kept:
            target.delete(listed.key)
