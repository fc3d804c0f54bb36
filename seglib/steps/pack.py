"""Pack a split into shards, from which training streams."""

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
from seglib.data.dataset import Dataset, scan_dataset
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
    read_shard_index,
    write_shard_index,
)
from seglib.data.shards.tars import TarWriter
from seglib.data.shards.writing import SHARD_BYTES, NewSample, shard_name
from seglib.data.tree import Tree
from seglib.data.verification.stored_tree import open_tree
from seglib.errors import DatasetError, SegError, UsageError
from seglib.storage.backends import MissingObjectError, Remote
from seglib.storage.documents import parse_json
from seglib.storage.remotes import open_remote

logger = logging.getLogger(__name__)

_WRITERS = 2  # shards that are stored at once; each is in memory
_MEASURED = 64  # pairs, from which the number of samples of a shard is estimated
_OWN = re.compile(r"[a-z]+-\d{5}-of-\d{5}\.tar(\.json)?")
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap height and width


@dataclass(frozen=True, kw_only=True)
class _Packed:
    """What is kept of a shard until the index is written."""

    plan: str
    shard: Shard
    class_pixels: tuple[int, ...]
    class_surroundings: tuple[int, ...]


_ADAPTER = TypeAdapter(_Packed)


def pack(
    data: str | Path,
    out: str | Path,
    *,
    split: str = "train",
    num_classes: int | None = None,
    ignore_index: int | None = None,
    shard_bytes: int = SHARD_BYTES,
    seed: int = 0,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ShardIndex:
    """Write the pairs of a split as shards, in a random order, with an index.

    Files are packed as they are. `seglib.train(shards=…)` then reads whole shards in
    place of single files. A second call goes on where one was interrupted; the index is
    written at the end.

    Args:
        data: a folder, `data.dvc`, or s3://bucket/prefix.
        out: a folder, or s3://bucket/prefix.
        split: to pack.
        num_classes, ignore_index: as of `load_dataset`; default: dataset.yaml.
        shard_bytes: about, of a shard.
        seed: of the order.
        overwrite: replace the shards of other files or settings at `out`.
        progress: called with (pairs packed, all pairs).

    Returns:
        The index, as it is written to `out`/shards.json.

    Raises:
        UsageError: `out` holds other shards, or the number of classes is unknown.
        DatasetError: the listing of the dataset has problems.
        SegError: a file cannot be read, image and mask have other sizes, a mask holds
            an id that is no class, or `out` cannot be written.
    """
    if shard_bytes <= 0:
        raise UsageError(f"`shard_bytes` must be > 0. Received: {shard_bytes}.")
    packing = _Packing.open(data, split, num_classes, ignore_index, shard_bytes, seed)
    target = open_remote(str(out), create=True)
    earlier = _made_of(target)
    if earlier.get("plan") == packing.plan:
        logger.info("%s holds these shards already", out)
        return read_shard_index(str(out))
    if earlier and not overwrite:
        raise UsageError(
            f"{target.name(INDEX_FILE)}: shards of other files or settings. Choose "
            "another place, or replace them by --overwrite."
        )
    target.delete(INDEX_FILE)
    packed = packing.write(target, progress or (lambda *_: None))
    index = packing.index(packed)
    write_shard_index(target, index)
    _clear(target, index)
    return index


@dataclass(frozen=True)
class _Packing:
    """The pairs of a split in their new order, and how they are cut into shards."""

    dataset: Dataset
    tree: Tree
    split: str
    pairs: Sequence[Pair]
    per_shard: int
    plan: str  # stands for all of it: what has another plan is made again

    @classmethod
    def open(
        cls,
        data: str | Path,
        split: str,
        num_classes: int | None,
        ignore_index: int | None,
        shard_bytes: int,
        seed: int,
    ) -> "_Packing":
        root, tree = open_tree(data)
        scan = scan_dataset(
            root, num_classes=num_classes, ignore_index=ignore_index, tree=tree
        )
        if scan.problems:
            told = "the dataset has problems; `seglib verify` tells them all"
            raise DatasetError(f"{data}: {told}.", map(str, scan.problems))
        if not scan.knows_classes:
            raise UsageError(
                f"{data}: the number of classes is unknown. State it in dataset.yaml, "
                "or by --num-classes."
            )
        dataset, pairs = scan.dataset, scan.dataset.pairs(split)
        some = [
            sum(len(_read(tree, path)) for path in pair.all_files())
            for pair in spread(pairs, _MEASURED)
        ]
        count = -(-len(pairs) * sum(some) // (len(some) * shard_bytes))
        per_shard = -(-len(pairs) // max(1, count))  # nearly the same of all
        order = np.random.default_rng(seed).permutation(len(pairs))
        shuffled = [pairs[place] for place in order]
        facts = [
            *(FORMAT_VERSION, split, per_shard),
            *(dataset.num_classes, dataset.ignore_index, *dataset.others),
        ]
        plan = sha256(json.dumps(facts).encode())
        for path in (path for pair in shuffled for path in pair.all_files()):
            stands_for = tree.md5(path) or tree.identity(path)
            plan.update(f"{path} {stands_for}\n".encode("utf-8", "backslashreplace"))
        return cls(dataset, tree, split, shuffled, per_shard, plan.hexdigest())

    @property
    def names(self) -> list[str]:
        count = -(-len(self.pairs) // self.per_shard)
        return [shard_name(self.split, number, count) for number in range(count)]

    def write(
        self, target: Remote, progress: Callable[[int, int], None]
    ) -> list[_Packed]:
        """Write the shards that are not there yet; returns the facts of all."""
        found = self._found(target)
        todo = [number for number, one in enumerate(found) if one is None]
        done = sum(one.shard.samples for one in found if one)
        if done:
            logger.info("going on: %d of %d shards are there", *_count(found))
        progress(done, len(self.pairs))

        def members(number: int) -> Sequence[Pair]:
            return self.pairs[number * self.per_shard :][: self.per_shard]

        def store(made: tuple[_Packed, bytes]) -> _Packed:
            packed, content = made
            target.write(packed.shard.name, content)
            facts = json.dumps(_ADAPTER.dump_python(packed, mode="json"))
            target.write(_facts_name(packed.shard.name), facts.encode())
            return packed

        with (
            ThreadPoolExecutor(self.tree.threads) as readers,
            ThreadPoolExecutor(_WRITERS) as writers,
        ):
            wanted = (pair for number in todo for pair in members(number))
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

    def index(self, packed: Sequence[_Packed]) -> ShardIndex:
        pixels = np.sum([one.class_pixels for one in packed], axis=0)
        around = np.sum([one.class_surroundings for one in packed], axis=0)
        return ShardIndex(
            inputs={IMAGE: ANY_CHANNELS, **self.dataset.others},
            shards=tuple(one.shard for one in packed),
            class_pixels=tuple(pixels.tolist()),
            class_surroundings=tuple(around.tolist()),
            made_of={
                "plan": self.plan,
                "data": str(self.dataset.root),
                "split": self.split,
                "class_names": list(self.dataset.class_names),
                "ignore_index": self.dataset.ignore_index,
            },
        )

    def _found(self, target: Remote) -> list[_Packed | None]:
        """The facts of the shards that an interrupted call has written."""
        names = self.names
        sizes = target.sizes([*names, *map(_facts_name, names)])
        found: list[_Packed | None] = [None] * len(names)
        for number, name in enumerate(names):
            if name in sizes and _facts_name(name) in sizes:
                one = _read_facts(target, name)
                if one and (one.plan, one.shard.size_bytes) == (self.plan, sizes[name]):
                    found[number] = one
        return found

    def _shard(
        self, number: int, samples: Iterable[NewSample]
    ) -> tuple[_Packed, bytes]:
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
        packed = _Packed(
            plan=self.plan,
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


def _read_facts(target: Remote, name: str) -> _Packed | None:
    """The facts of a shard; None if they cannot be understood."""
    with suppress(MissingObjectError, ValidationError):
        return _ADAPTER.validate_json(target.read(_facts_name(name)).content)
    return None


def _made_of(target: Remote) -> dict[str, Any]:
    """What the shards at a place were made of; empty if there are none."""
    try:
        content = target.read(INDEX_FILE).content
    except MissingObjectError:
        return {}
    tree = parse_json(content, name=target.name(INDEX_FILE))
    made_of = tree.get("made_of") if isinstance(tree, dict) else None
    return made_of if isinstance(made_of, dict) and made_of else {"plan": ""}


def _count(found: Sequence[_Packed | None]) -> tuple[int, int]:
    return sum(one is not None for one in found), len(found)


def _clear(target: Remote, index: ShardIndex) -> None:
    """Delete facts, and the shards of an earlier index."""
    kept = {shard.name for shard in index.shards}
    for listed in list(target.objects("")):
        if _OWN.fullmatch(listed.key) and listed.key not in kept:
            target.delete(listed.key)
