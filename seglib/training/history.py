"""The history of a training: a row an epoch, its line in the log, its files."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from seglib.models.model import SegmentationModel
from seglib.training.clock import Clock

Row = dict[str, float]  # epoch, loss, train_miou, val_miou, learning_rate, duration_s
DrawCurves = Callable[[Sequence[dict[str, float | None]]], bytes]  # rows → PNG


def epoch_line(row: Row, *, epochs: int, is_best: bool, clock: Clock) -> str:
    """What the log says at the end of an epoch.

    Args:
        epochs: of the whole training.
        clock: from which the time that is left is estimated.
    """
    left_s = clock.elapsed_s * (epochs / row["epoch"] - 1)
    left_s = max(0.0, min(left_s, clock.left_s))
    miou = row["val_miou"]
    val = "" if math.isnan(miou) else f"  val mIoU {miou:.4f}"
    return (
        f"epoch {row['epoch']}/{epochs}  loss {row['loss']:.4f}"
        f"{val}{' (best)' if is_best else ''}  {row['duration_s']:.1f} s  "
        f"{int(left_s // 60)}:{int(left_s % 60):02d} left"
    )


def save_with_history(
    model: SegmentationModel, out: Path, history: list[Row], draw: DrawCurves
) -> None:
    """Write a model with its history.json and curves.png.

    Raises:
        SegError: the folder cannot be written.
    """
    rows = [
        {key: None if math.isnan(value) else value for key, value in row.items()}
        for row in history
    ]
    text = json.dumps(rows, indent=1) + "\n"
    files = {"history.json": text.encode(), "curves.png": draw(rows)}
    model.save(out, extra_files=files)
