"""The comparison of models on the command line."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from seglib.cli import options as opt
from seglib.cli.console import check_out
from seglib.cli.terminal import console
from seglib.evaluation.bootstrap import Interval


def compare(
    evaluations: Annotated[
        list[Path],
        typer.Argument(help="Folders of evaluations of one split, two or more."),
    ],
    out: Annotated[Path, opt.option("Folder for the page.")] = Path("comparison"),
    overwrite: opt.Overwrite = False,
    block: Annotated[
        int, opt.option("Frames of a sequence that are drawn together.", min=1)
    ] = 1,
) -> None:
    """Put evaluated models side by side, with the significance of each difference.

    For example: seglib compare champion/evaluation mine/evaluation
    """
    from seglib.steps.compare import compare_evaluations

    check_out(out, "comparison.json", overwrite=overwrite)
    found = compare_evaluations(evaluations, out, block=block)
    table = Table("model", "mIoU", "95% interval")
    for name, scores in found.scores.items():
        (miou,) = scores["miou"]
        table.add_row(name, f"{miou.estimate:.4f}", f"{miou.low:.4f} … {miou.high:.4f}")
    console.print(table)
    table = Table("model", "minus", "mIoU", "95% interval", "p", "")
    for one in found.pairs:
        p = f"{one.p:.4f}"
        table.add_row(one.model, one.other, *_cells(one.change), p, one.verdict)
    console.print(table)
    console.print(
        f"p is corrected for the number of pairs   page: {out}/comparison.html"
    )


def tell_difference(evaluation: Any, other: Any, against: Path) -> None:
    """Print how one evaluation differs from another, class by class."""
    from seglib.evaluation.bootstrap import compare

    compared = compare(evaluation.counts, other.counts)
    table = Table("", "difference", f"{compared.confidence:.0%} interval")
    rows = zip(evaluation.class_names, compared.class_iou, strict=True)
    for name, change in (*rows, ("mIoU", compared.miou)):
        if not math.isnan(change.estimate):
            table.add_row(name, *_cells(change))
    console.print(table)
    verdict = "better" if compared.is_better() else "not better beyond doubt"
    if compared.miou.high < 0:
        verdict = "worse"
    console.print(
        f"{verdict} than {against} (mIoU {compared.champion_miou:.4f}) on "
        f"{compared.num_images} images",
        soft_wrap=True,
    )


def _cells(change: Interval) -> tuple[str, str]:
    return f"{change.estimate:+.4f}", f"{change.low:+.4f} … {change.high:+.4f}"
