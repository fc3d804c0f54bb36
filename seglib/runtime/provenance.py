"""Where a step's output is from: the origin of every step that led to it.

Each output has a provenance.json. A later run that takes the output from the cache can
tell by that file which run made it, when, and with which settings.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seglib.runtime.events import run_id

PROVENANCE = "provenance.json"
AUGMENTATION_PAGE = "augmentation.html"  # beside a model: what it was trained on
# Keys of an origin, beside run_id, folder, finished, duration_s, settings and trial.
KEPT = "checkpoints"  # of a training: where its outcome lies until it is used
FAILURE_REASON = "fell_out"  # of a failed trial: why there is no model
BEFORE_S, TRAINED_BY = "before_s", "trained_by"  # of a training's earlier attempts

Origin = dict[str, Any]


def read_lineage(folder: Path) -> dict[str, Origin]:
    """The origin of every step that led to an artifact; empty where none is known."""
    try:
        lineage: dict[str, Origin] = json.loads((folder / PROVENANCE).read_text())
    except (OSError, ValueError):
        return {}
    return lineage


def write_lineage(folder: Path, lineage: Mapping[str, Origin]) -> None:
    """Write the provenance.json of an output."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PROVENANCE).write_text(json.dumps(lineage, indent=1) + "\n")


def next_notes(found: Mapping[str, Any], spent_s: float) -> dict[str, Any]:
    """The notes of a checkpoint: what its training has cost in all attempts so far.

    Args:
        found: notes of the checkpoint from which this attempt, or another run that
            took the outcome over, went on.
        spent_s: by this attempt.
    """
    number, before_s = _attempts_and_seconds(found)
    return {"run": run_id(), "attempts": number + 1, "spent_s": before_s + spent_s}


def add_earlier_attempts(origin: Origin, found: Mapping[str, Any]) -> None:
    """Add to a training's origin what its checkpoint tells of earlier attempts."""
    number, origin[BEFORE_S] = _attempts_and_seconds(found)
    if number and (run := str(found.get("run", ""))) != run_id():
        plural = "s" * (number > 1)
        origin[TRAINED_BY] = f"run {run} in {number} attempt{plural}"


def total_s(origin: Origin) -> float:
    """How long a step took, with the attempts before the one that finished it."""
    return round(float(origin["duration_s"]) + float(origin.get(BEFORE_S, 0.0)), 3)


def _attempts_and_seconds(notes: Mapping[str, Any]) -> tuple[int, float]:
    """Zero where a checkpoint of an older version has none."""
    number, spent_s = notes.get("attempts"), notes.get("spent_s")
    if isinstance(number, int) and isinstance(spent_s, int | float):
        return number, float(spent_s)
    return 0, 0.0
