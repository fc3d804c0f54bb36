"""The trials of a sweep: what each was, how it did, and which is the best.

A trial is the settings in which one training differs from the others, as JSON: KFP
would turn the integers of a dictionary into floats.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.step import read_lineage
from seglib.errors import SegError

TABLE = "selection.md"
SELECTION = "selection.json"

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Trial:
    """One training, as its artifact tells of it."""

    settings: Settings
    val_miou: float  # of the epoch that was kept
    epochs: int


def label(settings: Settings) -> str:
    """A trial's name: "epochs=5, learning_rate=0.003"."""
    return ", ".join(f"{name}={value}" for name, value in sorted(settings.items()))


def read_trials(models: Sequence[Path]) -> list[Trial]:
    """How trials did.

    Args:
        models: their artifacts.

    Raises:
        SegError: one was never scored, for the dataset has no val split.
    """
    trials = []
    for folder in models:
        history = json.loads((folder / "history.json").read_text(encoding="utf-8"))
        scores = [row["val_miou"] for row in history if row.get("val_miou") is not None]
        scores = [score for score in scores if not math.isnan(score)]
        if not scores:
            raise SegError(
                "A sweep chooses by the mIoU on the val split, and a trial has none. "
                "Give the dataset a val split."
            )
        settings = read_lineage(folder).get("train", {}).get("trial", {})
        trials.append(Trial(settings, max(scores), len(history)))
    return trials


def best_of(trials: Sequence[Trial]) -> int:
    """The place of the trial with the highest val mIoU; of equals, the first."""
    return max(range(len(trials)), key=lambda i: (trials[i].val_miou, -i))


def write_selection(trials: Sequence[Trial], folder: Path) -> None:
    """Write selection.json, and the same as a table, the best first."""
    ranked = sorted(trials, key=lambda trial: -trial.val_miou)
    rows = [vars(trial) for trial in ranked]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SELECTION).write_text(json.dumps(rows, indent=1) + "\n")
    lines = ["| trial | val mIoU | epochs |", "|---|---|---|"]
    for trial in ranked:
        name = label(trial.settings) or "as configured"
        lines.append(f"| {name} | {trial.val_miou:.4f} | {trial.epochs} |")
    (folder / TABLE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def can_be_referred_to(uri: str, run: str) -> bool:
    """Whether a step may give out another's artifact as its own.

    KFP's launcher takes no output whose address is outside of its own run's folder in
    the bucket, as that of a training from the cache is.
    """
    return "://" not in uri or (bool(run) and f"/{run}/" in uri)
