"""`seglib augment`."""

from pathlib import Path
from typing import Annotated

from seglib.cli import options as opt
from seglib.cli.console import check_folder, check_out, open_dataset, override
from seglib.cli.progress import progress_bar
from seglib.cli.terminal import console
from seglib.config import Config


def augment(
    data: opt.Data,
    out: Annotated[Path, opt.option("Folder for the shards.")] = Path("shards"),
    overwrite: opt.Overwrite = False,
    policy: Annotated[str | None, opt.setting("policy")] = None,
    copies: Annotated[int | None, opt.setting("copies")] = None,
    num_classes: opt.NumClasses = None,
    ignore_index: opt.IgnoreIndex = None,
    config: opt.ConfigFile = None,
) -> None:
    """Write the training split and altered copies of it as shards, with a preview."""
    settings = override(Config.load(config).augment, policy=policy, copies=copies)
    check_folder(data)
    check_out(out, "shards.json", overwrite=overwrite)
    from seglib.steps.augment import augment as run

    dataset = open_dataset(data, config, num_classes, ignore_index, splits=("train",))
    channels = Config.load(config).model.channels
    with progress_bar("augmenting") as progress:
        index = run(dataset, out, config=settings, channels=channels, progress=progress)
    pairs = sum(shard["samples"] for shard in index["shards"])
    console.print(f"{pairs} pairs in {out}; preview: {out}/preview.html")
