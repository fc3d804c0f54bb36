"""The trials of a sweep: what each was, how it did, and which is the best.

A trial is the settings in which one training differs from the others, as JSON: KFP
would turn the integers of a dictionary into floats.

One that cannot be trained falls out: KFP, on a cluster as locally, ends a loop with the
first of its tasks that fails, so the task succeeds, with an artifact that says why
there is no model. What is not of the trial's own making (data or a store that are away,
SIGTERM, whatever is not known) fails the task as ever, and it is tried again.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seglib.errors import DivergedError, SegError, UsageError
from seglib.plain_text import first_line, table_cell
from seglib.runtime.step import FELL_OUT, KEPT, Step, read_lineage, run_id

TABLE = "selection.md"
SELECTION = "selection.json"
# TensorFlow's and JAX's errors; neither is imported for the sake of a name.
_EXHAUSTED = ("ResourceExhaustedError", "JaxRuntimeError", "XlaRuntimeError")
_MEMORY = re.compile(r"\bOOM\b|out of memory", re.IGNORECASE)  # and not the disk
NO_VAL = (
    "A sweep chooses by the mIoU on the val split, and there is none. Give the dataset "
    "a val split."
)
_LONGEST_LINE = 200  # characters

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Trial:
    """One training, as its artifact tells of it."""

    settings: Settings
    val_miou: float | None  # of the epoch that was kept; None: it fell out
    epochs: int
    fell_out: str = ""  # why there is no model


def label(settings: Settings) -> str:
    """A trial's name: "epochs=5, learning_rate=0.003"."""
    return ", ".join(f"{name}={value}" for name, value in sorted(settings.items()))


@contextmanager
def may_fall_out(step: Step) -> Iterator[None]:
    """Within it, a trial that cannot be trained ends in a reason, and not in an error.

    Outside of a sweep every error is one.
    """
    try:
        yield
    except Exception as error:
        reason = why_it_fell_out(error) if step.is_trial else ""
        if not reason:
            raise
        # Other settings and other losses come to the same end on every machine.
        step.fall_out(reason, for_good=isinstance(error, DivergedError))


def why_it_fell_out(error: Exception) -> str:
    """The reason why settings cannot be trained with; empty: they are not the cause.

    They are where the loss diverges, where they do not go together or with the data,
    and where they need more memory than there is.
    """
    if isinstance(error, MemoryError) or (
        type(error).__name__ in _EXHAUSTED and _MEMORY.search(str(error))
    ):
        line = first_line(str(error) or "MemoryError", longest=_LONGEST_LINE)
        return f"Not enough memory here: {line}"
    a_file_is_away = isinstance(error.__cause__, OSError)
    if isinstance(error, DivergedError | UsageError) and not a_file_is_away:
        return str(error)
    return ""


def read_trials(models: Sequence[Path]) -> list[Trial]:
    """How trials did.

    Args:
        models: their artifacts.

    Raises:
        SegError: one was never scored, for the dataset has no val split.
    """
    return [_read_trial(folder) for folder in models]


def best_of(trials: Sequence[Trial]) -> int:
    """The place of the trial with the highest val mIoU; of equals, the first.

    Raises:
        SegError: all fell out.
    """
    scores = {i: t.val_miou for i, t in enumerate(trials) if t.val_miou is not None}
    if not scores:
        lines = [f"  {label(trial.settings)}: {trial.fell_out}" for trial in trials]
        raise SegError("\n".join(["No trial is left: all fell out.", *lines]))
    return max(scores, key=lambda i: (scores[i], -i))


def reasons(trials: Sequence[Trial]) -> dict[str, str]:
    """Why trials fell out, by their names."""
    return {label(t.settings): t.fell_out for t in trials if t.fell_out}


def write_selection(trials: Sequence[Trial], folder: Path) -> None:
    """Write selection.json, and the same as a table, the best first."""
    ranked = sorted(trials, key=lambda t: (bool(t.fell_out), -(t.val_miou or 0.0)))
    rows = [vars(trial) for trial in ranked]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SELECTION).write_text(json.dumps(rows, indent=1) + "\n")
    lines = ["| trial | val mIoU | epochs |", "|---|---|---|"]
    for trial in ranked:
        name = table_cell(label(trial.settings)) or "as configured"
        if trial.val_miou is None:
            lines.append(f"| {name} | fell out | – |")
        else:
            lines.append(f"| {name} | {trial.val_miou:.4f} | {trial.epochs} |")
    fell_out = [
        f"- {table_cell(name)}: {table_cell(reason)}"
        for name, reason in reasons(trials).items()
    ]
    if fell_out:
        lines += ["", "Fell out, without a model:", "", *fell_out]
    (folder / TABLE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def forget_outcomes(models: Iterable[Path]) -> None:
    """Remove what is kept of trainings until their models have come through."""
    origins = (read_lineage(folder).get("train", {}) for folder in models)
    if kept := [origin[KEPT] for origin in origins if KEPT in origin]:
        from seglib.training.checkpoints import (
            forget,  # takes seconds to import, as Keras does
        )

        for folder in kept:
            forget(folder)


def can_be_referred_to(uri: str, run: str) -> bool:
    """Whether a step may give out another's artifact as its own.

    KFP's launcher takes no output whose address is outside of its own run's folder in
    the bucket, as that of a training from the cache is.
    """
    return "://" not in uri or (bool(run) and f"/{run}/" in uri)


def _read_trial(folder: Path) -> Trial:
    origin = read_lineage(folder).get("train", {})
    settings = origin.get("trial", {})
    if reason := origin.get(FELL_OUT):
        if (made_by := origin["run_id"]) != run_id():
            reason += f" (reused from run {made_by})"
        return Trial(settings, None, 0, reason)
    history = json.loads((folder / "history.json").read_text(encoding="utf-8"))
    scores = [row["val_miou"] for row in history if row.get("val_miou") is not None]
    scores = [score for score in scores if not math.isnan(score)]
    if not scores:
        raise SegError(NO_VAL)
    return Trial(settings, max(scores), len(history))
