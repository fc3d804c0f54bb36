"""`seglib plan`."""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

from rich.table import Table

from seglib.cli import options as opt
from seglib.cli.console import (
    check_folder,
    check_out,
    data_config,
    load_framework,
    tell_device,
)
from seglib.cli.progress import progress_bar
from seglib.cli.terminal import console
from seglib.plain_text import visible


def plan(
    data: opt.Data,
    out: Annotated[Path, opt.option("The YAML file to write.")] = Path("config.yaml"),
    overwrite: opt.Overwrite = False,
    minutes: Annotated[
        float, opt.option("Of training on this machine.", min=0.1)
    ] = 20.0,
    num_classes: opt.NumClasses = None,
    ignore_index: opt.IgnoreIndex = None,
) -> None:
    """Write a configuration for a dataset, this machine and a budget of time.

    Looks at sizes, classes, imbalance and memory, and takes a few real steps to know
    what fits the time: a minute or so, on a machine that does nothing else. Each line
    of the file says why; change what you know better.

    For example: seglib plan streets --minutes 60
    """
    check_folder(data)
    check_out(out, is_file=True, overwrite=overwrite)
    tell_device("auto")
    load_framework()
    from seglib.planning.document import class_rows, dataset_rows
    from seglib.steps.plan import plan as run

    with progress_bar("verifying") as progress:
        made = run(
            data,
            out,
            minutes=minutes,
            config=data_config(None, num_classes, ignore_index),
            overwrite=overwrite,
            progress=progress,
        )
    head, *classes = class_rows(made.facts)
    _table(dataset_rows(made.facts))
    _table(classes, *head)
    settings = [(c.name, str(c.value), c.reason) for c in made.choices]
    _table(settings, "setting", "value", "reason")
    console.print(
        f"{out}: about {made.minutes:.0f} minutes of training, and "
        f"{made.memory_bytes / 1e9:.1f} GB of memory. Next:\n"
        f"  seglib train {shlex.quote(str(data))} --config {shlex.quote(str(out))}",
        soft_wrap=True,
    )


def _table(rows: Iterable[Sequence[str]], *head: str) -> None:
    shown = Table(*head, show_header=bool(head))
    for row in rows:
        shown.add_row(*map(visible, row))
    console.print(shown)
