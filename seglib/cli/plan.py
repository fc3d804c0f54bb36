"""`seglib plan`."""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from seglib.cli.console import (
    Data,
    IgnoreIndex,
    NumClasses,
    check_folder,
    check_writable,
    console,
    data_config,
    progress_bar,
)
from seglib.plain_text import visible


def plan(
    data: Data,
    out: Annotated[Path, typer.Option(help="The YAML file to write.")] = Path(
        "config.yaml"
    ),
    minutes: Annotated[
        float, typer.Option(min=0.1, help="Of training on this machine.")
    ] = 20.0,
    num_classes: NumClasses = None,
    ignore_index: IgnoreIndex = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is there.")
    ] = False,
) -> None:
    """Write a configuration for a dataset, this machine and a budget of time.

    Looks at sizes, classes, imbalance and memory, and takes a few real steps to know
    what fits the time: a minute or so, on a machine that does nothing else. Each line
    of the file says why; change what you know better.

    For example: seglib plan streets --minutes 60
    """
    from seglib.planning.document import class_rows, dataset_rows
    from seglib.steps.plan import plan as run

    check_folder(data)
    check_writable(out)
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
        f"seglib train {shlex.quote(str(data))} --config {shlex.quote(str(out))}",
        soft_wrap=True,
    )


def _table(rows: Iterable[Sequence[str]], *head: str) -> None:
    shown = Table(*head, show_header=bool(head))
    for row in rows:
        shown.add_row(*map(visible, row))
    console.print(shown)
