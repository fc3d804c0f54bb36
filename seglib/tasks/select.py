"""The task `select-model`: of a sweep's models, give on the best by val mIoU."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from seglib.runtime.events import run_id
from seglib.runtime.provenance import KEPT, read_lineage
from seglib.runtime.step import Artifact
from seglib.runtime.trials import (
    TABLE,
    best_of,
    can_be_referred_to,
    failures,
    label,
    read_trials,
    write_selection,
)
from seglib.tasks.task import task
from seglib.training.checkpoints import forget


def select_model(
    *,
    models: Sequence[Artifact],
    model: Artifact,
    selection: Artifact,
    table: Artifact,
) -> None:
    """Choose the best trial; see the component for the arguments."""
    with task("select", out=selection, inputs=models) as step:
        trials = read_trials([Path(one.path) for one in models])
        failed = failures(trials)
        for name, reason in failed.items():
            step.say(f"failed trial {name}: {reason}")
        number = best_of(trials)
        best, chosen = trials[number], models[number]
        step.lineage.update(read_lineage(Path(chosen.path)))
        # The others have come through, whole: their trainings need not be remembered.
        _forget_outcomes(Path(one.path) for one in models if one is not chosen)
        write_selection(trials, Path(selection.path))
        shutil.copy(Path(selection.path) / TABLE, table.path)
        step.say(f"the best of {len(trials)} trials: {label(best.settings)}")
        step.send(
            "selected",
            lineage=step.lineage,
            trial=dict(best.settings),
            trials=len(trials),
            val_miou=best.val_miou,
            fell_out=failed,
            table=selection.path,
        )
    if can_be_referred_to(chosen.uri, run_id()):
        model.uri = chosen.uri
    else:
        shutil.copytree(chosen.path, model.path, dirs_exist_ok=True)


def _forget_outcomes(models: Iterable[Path]) -> None:
    """Remove what is kept of trainings until their models have come through."""
    for folder in models:
        if kept := read_lineage(folder).get("train", {}).get(KEPT):
            forget(kept)
