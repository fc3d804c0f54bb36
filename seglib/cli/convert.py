"""`seglib convert`: datasets of other formats."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from seglib.cli import options as opt
from seglib.cli.console import tell_findings
from seglib.cli.progress import stage_bar
from seglib.cli.terminal import console
from seglib.plain_text import visible

_SHOWN = 10  # kinds of remarks


def convert(
    source: Annotated[Path, typer.Argument(help="Folder of the dataset, only read.")],
    out: Annotated[Path, opt.option("New folder.")],
    source_format: Annotated[
        str, opt.option("A format; auto: told by the files.", "--from")
    ] = "auto",
    to: Annotated[str, opt.option("A format.")] = "seglib",
    split: Annotated[
        str, opt.option("keep, or shares of train/val/test: 0.8/0.1/0.1.")
    ] = "keep",
    group_by: Annotated[
        str,
        opt.option("What comes into one split: `sequence`, or a regular expression."),
    ] = "",
    seed: Annotated[int, opt.option("Of the division into splits.")] = 0,
    classes: Annotated[
        Path | None,
        opt.option(
            "File with the list of classes, or from-masks: one for each of their "
            "colours. Default: the source's own."
        ),
    ] = None,
    void: Annotated[
        list[str] | None,
        opt.option("Class whose pixels are ignored; may be repeated."),
    ] = None,
    unlabelled: Annotated[
        str, opt.option("Images without annotation: leave-out or background.")
    ] = "leave-out",
    uncovered: Annotated[
        str, opt.option("Pixels that no shape covers: background or void.")
    ] = "background",
    ignore_index: Annotated[
        int | None, opt.option("Id of ignored pixels in masks of ids.")
    ] = None,
) -> None:
    """Convert a dataset from or to the format of another tool.

    Formats: ade20k, cityscapes, coco, coco-panoptic, colours, huggingface,
    keras_segmentation, labelme, seglib, voc. docs/conversion.md tells their files. The
    result is verified, or, in another format, read again and compared.

    Exit code 0: all was converted. 1: samples were lost, or problems found. 2: wrong
    use.
    """
    from seglib.data.conversion.converter import convert as run

    with stage_bar("reading") as progress:
        done = run(
            source,
            out,
            source_format=source_format,
            to=to,
            split=split,
            group_by=group_by,
            seed=seed,
            classes=classes,
            voids=void or (),
            unlabelled=unlabelled,
            uncovered=uncovered,
            ignore_index=ignore_index,
            progress=progress,
        )
    _tell(done, out, is_auto=source_format == "auto")
    if done.verification:
        tell_findings(done.verification)
    if done.problems or (done.verification and not done.verification.ok):
        raise typer.Exit(1)


def _tell(done: Any, out: Path, *, is_auto: bool) -> None:
    told = f"format: {done.format}"
    if is_auto and done.other_formats:
        told += f" (--from {' or --from '.join(done.other_formats)} would fit, too)"
    console.print(told, soft_wrap=True)
    _tell_remarks(done.problems, Text("lost:", "red"))
    _tell_remarks(done.notes, Text("note:", "cyan"))
    counts = ", ".join(f"{count:,} {split}" for split, count in done.pairs.items())
    names = ", ".join(done.class_names[:20])
    more = " …" if len(done.class_names) > 20 else ""
    console.print(f"{out}: {counts}", soft_wrap=True)
    console.print(f"{len(done.class_names)} classes: {names}{more}", soft_wrap=True)
    if not done.verification:
        console.print("read again: every mask is as it was")


def _tell_remarks(remarks: Iterable[Any], head: Text) -> None:
    """One line for all remarks of one text, the most frequent first."""
    places: dict[str, list[str]] = defaultdict(list)
    for remark in remarks:
        places[remark.what].append(remark.where)
    lines = sorted(places.items(), key=lambda line: -len(line[1]))
    for what, where in lines[:_SHOWN]:
        more = f" and {len(where) - 1:,} more" if len(where) > 1 else ""
        told = f" {len(where):,} × {what}: {where[0]}{more}"
        console.print(Text.assemble(head, visible(told)), soft_wrap=True)
    if (rest := sum(len(where) for _, where in lines[_SHOWN:])) > 0:
        console.print(f"… and {rest:,} more of other kinds")
