"""Pack a split into shards, from which training streams."""

import logging
from pathlib import Path

from seglib.arguments import checked
from seglib.data.dataset import scan_dataset
from seglib.data.shards.index import (
    INDEX_FILE,
    ShardIndex,
    read_shard_index,
    write_shard_index,
)
from seglib.data.shards.packer import Packing, clear, made_of
from seglib.data.shards.writing import SHARD_BYTES
from seglib.data.verification.stored_tree import open_tree
from seglib.errors import DatasetError, UsageError
from seglib.progress import Progress, shown
from seglib.storage.remotes import open_remote

logger = logging.getLogger(__name__)


@checked
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
    progress: Progress = None,
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
        progress: see `seglib.train`; a function is called with (pairs packed, all
            pairs).

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
    root, tree = open_tree(data)
    scan = scan_dataset(
        root, num_classes=num_classes, ignore_index=ignore_index, tree=tree
    )
    if scan.problems:
        told = "the dataset has problems; `seglib verify` tells them all"
        raise DatasetError(f"{data}: {told}.", map(str, scan.problems))
    if not scan.knows_classes:
        raise UsageError(
            f"{data}: the number of classes is unknown. State it in dataset.yaml, or "
            "by --num-classes."
        )
    packing = Packing.plan(
        scan.dataset, tree, split, shard_bytes=shard_bytes, seed=seed
    )
    target = open_remote(str(out), create=True)
    earlier = made_of(target)
    if earlier.get("key") == packing.key:
        logger.info("%s holds these shards already", out)
        return read_shard_index(str(out))
    if earlier and not overwrite:
        raise UsageError(
            f"{target.name(INDEX_FILE)}: shards of other files or settings. Choose "
            "another place, or replace them by --overwrite."
        )
    target.delete(INDEX_FILE)
    with shown(progress, "packing") as tell:
        packed = packing.write(target, tell)
    index = packing.index(packed)
    write_shard_index(target, index)
    clear(target, index)
    return index
