"""`seglib pack`: shards, from which training streams."""

from typing import Annotated

import typer

from seglib.cli import options as opt
from seglib.cli.progress import progress_bar
from seglib.cli.terminal import console


def pack(
    data: Annotated[
        str, typer.Argument(help="Folder, data.dvc, or s3://bucket/prefix.")
    ],
    out: Annotated[str, opt.option("Folder or s3://bucket/prefix.")],
    split: Annotated[str, opt.option("train, val or test.")] = "train",
    shard_mb: Annotated[float, opt.option("Size of a shard, about.", min=0.001)] = 32,
    seed: Annotated[int, opt.option("Of the order.", min=0)] = 0,
    overwrite: opt.Overwrite = False,
    num_classes: opt.NumClasses = None,
    ignore_index: opt.IgnoreIndex = None,
) -> None:
    """Pack a split into shards: tar files of about 32 MB, each read in one go.

    For datasets that fit neither the memory nor the disk of a machine: `seglib train
    DATA --shards OUT` reads whole shards ahead, from a disk or straight from S3. The
    same command goes on where one was interrupted.
    """
    from seglib.steps.pack import pack as run

    with progress_bar("packing") as progress:
        index = run(
            data,
            out,
            split=split,
            num_classes=num_classes,
            ignore_index=ignore_index,
            shard_bytes=int(shard_mb * 2**20),
            seed=seed,
            overwrite=overwrite,
            progress=progress,
        )
    size_bytes = sum(shard.size_bytes for shard in index.shards)
    console.print(
        f"{index.samples:,} pairs in {len(index.shards):,} shards, "
        f"{size_bytes / 1e9:,.2f} GB: {out}",
        soft_wrap=True,
    )
