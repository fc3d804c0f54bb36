"""`seglib augment`."""

from pathlib import Path
from typing import Annotated

from seglib.cli.console import (
    check_folder,
    check_out,
    console,
    open_dataset,
    override,
    progress_bar,
)
from seglib.cli.options import (
    ConfigFile,
    Data,
    IgnoreIndex,
    NumClasses,
    Overwrite,
    option,
    setting,
)
from seglib.config import Config


def augment(
    data: Data,
    out: Annotated[Path, option("Folder for the shards.")] = Path("shards"),
    overwrite: Overwrite = False,
    policy: Annotated[str | None, setting("policy")] = None,
    copies: Annotated[int | None, setting("copies")] = None,
    num_classes: NumClasses = None,
    ignore_index: IgnoreIndex = None,
    config: ConfigFile = None,
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
    console.print(f"{index['num_records']} pairs in {out}; preview: {out}/preview.html")
