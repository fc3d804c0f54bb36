"""Shards: files of encoded pairs in ArrayRecord, which training reads at random."""

import struct
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import grain

from seglib.data.image_io import decode_image, decode_mask
from seglib.data.loader import PairSource
from seglib.data.pairs import ImageAndMask, Inputs, describe, join
from seglib.errors import SegError
from seglib.storage.documents import read_json

INDEX_FILE = "shards.json"


class ShardSource(PairSource):
    """Random access to the pairs in shards that `seglib augment` wrote."""

    def __init__(self, folder: Path, *, inputs: Inputs):
        index = read_shard_index(folder)
        if list(index["inputs"].items()) != list(inputs.items()):
            raise SegError(
                f"{folder}: the shards hold {describe(index['inputs'])}, the model "
                f"takes {describe(inputs)}. Run `seglib augment` with the model's "
                "configuration."
            )
        super().__init__([], inputs=inputs)
        self._files = [folder / name for name in index["shards"]]
        self._records = grain.sources.ArrayRecordDataSource(list(map(str, self._files)))

    def __len__(self) -> int:
        return len(self._records)

    def name(self, index: int) -> str:
        return f"record {index}"

    def _decode(self, index: int) -> ImageAndMask:
        *images, mask = unpack_record(self._records[index])
        name = self.name(index)
        decoded = [
            decode_image(image, channels=channels, name=name)
            for image, channels in zip(images, self.inputs.values(), strict=True)
        ]
        return join(decoded), decode_mask(mask, name=name)

    def _content(self) -> list[Path]:
        return self._files


def read_shard_index(folder: Path) -> dict[str, Any]:
    """The `shards.json` of a folder of shards.

    Raises:
        SegError: the folder holds no shards, or a file of them is missing.
    """
    try:
        index = read_json(folder / INDEX_FILE)
        missing = [name for name in index["shards"] if not (folder / name).is_file()]
        index["inputs"]  # which an index of an older format lacks
    except (ValueError, KeyError, TypeError) as error:
        raise SegError(
            f"{folder}: not a folder of shards ({error}). Run `seglib augment`."
        ) from error
    if missing:
        raise SegError(
            f"{folder}: {missing[0]} is missing. Run `seglib augment` again."
        )
    return index


def pack_record(parts: Sequence[bytes]) -> bytes:
    """Pack the encoded inputs of a pair and its mask into one record.

    Layout: number of parts, length of each (all uint32, little endian), the parts.
    """
    head = struct.pack(f"<{len(parts) + 1}I", len(parts), *map(len, parts))
    return head + b"".join(parts)


def unpack_record(record: bytes) -> list[bytes]:
    """The inverse of `pack_record`."""
    (count,) = struct.unpack_from("<I", record)
    lengths = struct.unpack_from(f"<{count}I", record, 4)
    ends = list(accumulate(lengths, initial=4 * (count + 1)))
    return [record[start:end] for start, end in pairwise(ends)]


def write_shards(
    folder: Path, records: Iterable[bytes], *, num_shards: int
) -> tuple[list[str], int]:
    """Deal records round-robin to new shards.

    Returns:
        The names of the files, and the number of records.
    """
    from array_record.python.array_record_module import ArrayRecordWriter

    names = [f"train-{i:05}-of-{num_shards:05}.arrayrecord" for i in range(num_shards)]
    writers = [ArrayRecordWriter(str(folder / name), "group_size:1") for name in names]
    written = 0
    with ExitStack() as closing:
        for writer in writers:  # closes all of them, even if the disk is full for one
            closing.callback(writer.close)
        for record in records:
            writers[written % num_shards].write(record)
            written += 1
    return names, written
