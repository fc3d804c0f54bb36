"""The trials of a sweep: what each was, how it did, and which is the best.

A trial that cannot be trained is a failed trial and no failed task, because KFP ends a
loop with the first task that fails: the task succeeds, and its artifact says why there
is no model. A cause outside of the trial (data or a store that are away, SIGTERM, any
unknown error) fails the task, and the task is tried again.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seglib.errors import DivergedError, SegError, UsageError
from seglib.plain_text import first_line, table_cell
from seglib.runtime.events import run_id
from seglib.runtime.provenance import FAILURE_REASON, read_lineage
from seglib.runtime.step import RunningStep

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
    val_miou: float | None  # of the epoch that was kept; None: a failed trial
    epochs: int
    failure: str = ""  # why there is no model


def label(settings: Settings) -> str:
    """A trial's name: "epochs=5, learning_rate=0.003"."""
    return ", ".join(f"{name}={value}" for name, value in sorted(settings.items()))


@contextmanager
def trial_may_fail(step: RunningStep) -> Iterator[None]:
    """Within it, an error that a trial's settings cause makes a failed trial of it.

    Outside of a sweep every error is raised.
    """
    try:
        yield
    except Exception as error:
        reason = trial_failure(error) if step.is_trial else ""
        if not reason:
            raise
        # Other settings and other losses come to the same end on every machine.
        step.fail_trial(reason, for_good=isinstance(error, DivergedError))


def trial_failure(error: Exception) -> str:
    """Why settings cannot be trained with; empty: they are not the cause.

    They are the cause where the loss diverges, where they do not fit each other or the
    data, and where they need more memory than there is.
    """
    if isinstance(error, MemoryError) or (
        type(error).__name__ in _EXHAUSTED and _MEMORY.search(str(error))
    ):
        line = first_line(str(error) or "MemoryError", longest=_LONGEST_LINE)
        return f"Not enough memory here: {line}"
    a_file_is_away = isinstance(error.__cause__, OSError)
    is_cause = isinstance(error, DivergedError | UsageError) and not a_file_is_away
    return str(error) if is_cause else ""


def read_trial(model: Path) -> Trial:
    """How a trial did, by its artifact.

    Raises:
        SegError: it was never scored, for the dataset has no val split.
    """
    origin = read_lineage(model).get("train", {})
    settings = origin.get("trial", {})
    if reason := origin.get(FAILURE_REASON):
        if (made_by := origin["run_id"]) != run_id():
            reason += f" (reused from run {made_by})"
        return Trial(settings, None, 0, reason)
    history = json.loads((model / "history.json").read_text(encoding="utf-8"))
    scores = [row["val_miou"] for row in history if row.get("val_miou") is not None]
    scores = [score for score in scores if not math.isnan(score)]
    if not scores:
        raise SegError(NO_VAL)
    return Trial(settings, max(scores), len(history))


def best_of(trials: Sequence[Trial]) -> int:
    """The place of the trial with the highest val mIoU; of equals, the first.

    Raises:
        SegError: all trials failed.
    """
    scores = {i: t.val_miou for i, t in enumerate(trials) if t.val_miou is not None}
    if not scores:
        lines = [f"  {label(trial.settings)}: {trial.failure}" for trial in trials]
        raise SegError("\n".join(["No trial is left: all failed.", *lines]))
    return max(scores, key=lambda i: (scores[i], -i))


def failures(trials: Sequence[Trial]) -> dict[str, str]:
    """Why trials failed, by their names."""
    return {label(t.settings): t.failure for t in trials if t.failure}


def write_selection(trials: Sequence[Trial], folder: Path) -> None:
    """Write selection.json, and the same as a table, the best first."""
    ranked = sorted(trials, key=lambda t: (bool(t.failure), -(t.val_miou or 0.0)))
    rows = [vars(trial) for trial in ranked]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SELECTION).write_text(json.dumps(rows, indent=1) + "\n")
    lines = ["| trial | val mIoU | epochs |", "|---|---|---|"]
    for trial in ranked:
        name = table_cell(label(trial.settings)) or "as configured"
        score, epochs = "failed", "–"
        if trial.val_miou is not None:
            score, epochs = f"{trial.val_miou:.4f}", str(trial.epochs)
        lines.append(f"| {name} | {score} | {epochs} |")
    if failed := failures(trials):
        lines += ["", "Failed trials, without a model:", ""]
        lines += [f"- {table_cell(k)}: {table_cell(v)}" for k, v in failed.items()]
    (folder / TABLE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def can_be_referred_to(uri: str, run: str) -> bool:
    """Whether a step may give out another's artifact as its own.

    KFP's launcher takes no output whose address is outside of its own run's folder in
    the bucket, as that of a training from the cache is.
    """
    return "://" not in uri or (bool(run) and f"/{run}/" in uri)
