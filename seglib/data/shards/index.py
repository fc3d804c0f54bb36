"""The index of shards, `shards.json`: written last, so what has one is whole."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from seglib.data.class_totals import ClassTotals
from seglib.data.pairs import Inputs, describe
from seglib.errors import SegError
from seglib.storage.backends import MissingObjectError, Remote
from seglib.storage.documents import parse_json
from seglib.storage.remotes import open_remote

INDEX_FILE = "shards.json"
FORMAT_VERSION = 3
ANY_CHANNELS = 0  # the files are those of the dataset, read as a model asks for
_REMEDY = "Run `seglib pack` or `seglib augment`."


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A tar file of samples."""

    name: str
    samples: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ShardIndex:
    """The shards of a split, and the sums from which classes are weighted.

    Args:
        inputs: name and channels of the images of a sample, in their order;
            `ANY_CHANNELS` where a model chooses.
        shards: in the order in which their samples are numbered.
        class_pixels, class_surroundings: see `ClassTotals`.
        made_of: what they were made from, for people.
    """

    inputs: dict[str, int]
    shards: tuple[Shard, ...]
    class_pixels: tuple[int, ...]
    class_surroundings: tuple[int, ...]
    made_of: dict[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    @cached_property
    def starts(self) -> np.ndarray:
        """The number of each shard's first sample, and that of all, int64."""
        return np.cumsum([0, *(shard.samples for shard in self.shards)])

    @property
    def samples(self) -> int:
        return int(self.starts[-1])

    @property
    def totals(self) -> ClassTotals:
        return ClassTotals(
            np.array(self.class_pixels, np.int64),
            np.array(self.class_surroundings, np.int64),
        )

    @property
    def digest(self) -> str:
        """SHA-256 that stands for the content of all shards, in their order."""
        content = json.dumps([[*self.inputs], [one.sha256 for one in self.shards]])
        return hashlib.sha256(content.encode()).hexdigest()

    def check_inputs(self, inputs: Inputs, place: str) -> None:
        """Raise a SegError unless these are the inputs of a model."""
        held = {name: n or inputs.get(name, n) for name, n in self.inputs.items()}
        if list(held.items()) != list(inputs.items()):
            raise SegError(
                f"{place}: the shards hold {describe(held)}, the model takes "
                f"{describe(inputs)}. Make them with the model's configuration."
            )


_ADAPTER = TypeAdapter(ShardIndex)


def read_shard_index(place: str) -> ShardIndex:
    """The index of a folder or of s3://bucket/prefix.

    Raises:
        SegError: there are no shards, or a file of them is missing or cut.
    """
    try:
        remote = open_remote(place)
        content = remote.read(INDEX_FILE).content
    except MissingObjectError as error:
        raise SegError(f"{place}: not a folder of shards. {_REMEDY}") from error
    name = remote.name(INDEX_FILE)
    tree = parse_json(content, name=name, remedy=_REMEDY)
    version = tree.get("format_version") if isinstance(tree, dict) else None
    if version != FORMAT_VERSION:
        raise SegError(
            f"{name}: expected shards of format {FORMAT_VERSION}. Received: "
            f"format_version={version!r}. {_REMEDY}"
        )
    try:
        index = _ADAPTER.validate_python(tree)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise SegError(
            f"{name}: not an index of shards ({where}: {first['msg']}). {_REMEDY}"
        ) from error
    _require_whole(remote, index)
    return index


def write_shard_index(remote: Remote, index: ShardIndex) -> None:
    """Write shards.json."""
    content = json.dumps(_ADAPTER.dump_python(index, mode="json"), indent=1) + "\n"
    remote.write(INDEX_FILE, content.encode())


def to_json(index: ShardIndex) -> Mapping[str, Any]:
    """The index as JSON holds it."""
    tree: dict[str, Any] = _ADAPTER.dump_python(index, mode="json")
    return tree


def _require_whole(remote: Remote, index: ShardIndex) -> None:
    if not index.shards or not index.samples:
        raise SegError(f"{remote.name(INDEX_FILE)}: no sample. {_REMEDY}")
    sizes = remote.sizes([shard.name for shard in index.shards])
    for shard in index.shards:
        received = sizes.get(shard.name)
        if received != shard.size_bytes:
            told = "it is missing" if received is None else f"{received:,} bytes"
            raise SegError(
                f"{remote.name(shard.name)}: expected {shard.size_bytes:,} bytes. "
                f"Received: {told}. Make the shards again."
            )
