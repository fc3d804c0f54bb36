"""Of a sweep's models, give on the best by val mIoU. Nothing is trained or copied."""

from typing import List  # noqa: UP035 (KFP reads no other)

from kfp.dsl import Artifact, Input, Markdown, Model, Output

from components.base import component


@component
def select_model(
    models: Input[List[Model]],  # noqa: UP006
    model: Output[Model],
    selection: Output[Artifact],
    table: Output[Markdown],
) -> None:
    """Choose by the score on the val split: the test split stays unseen.

    Args:
        models: of all trials.
        model: the best of them, by reference.
        selection: selection.json and the table, the best first; and why trials fell
            out, which have no model.
        table: the same, as KFP shows it.
    """
    import shutil
    from pathlib import Path

    from seglib.runtime.step import read_lineage, run_id
    from seglib.runtime.trials import (
        TABLE,
        best_of,
        can_be_referred_to,
        forget_outcomes,
        label,
        read_trials,
        reasons,
        write_selection,
    )
    from seglib.tracking import run as tracking

    with tracking.step("select", out=selection, inputs=models) as step:
        trials = read_trials([Path(one.path) for one in models])
        fell_out = reasons(trials)
        for name, reason in fell_out.items():
            step.say(f"{name} fell out: {reason}")
        number = best_of(trials)
        best, chosen = trials[number], models[number]
        step.lineage.update(read_lineage(Path(chosen.path)))
        # The others have come through, whole: their trainings need not be remembered.
        forget_outcomes(Path(one.path) for one in models if one is not chosen)
        write_selection(trials, Path(selection.path))
        shutil.copy(Path(selection.path) / TABLE, table.path)
        step.say(f"the best of {len(trials)} trials: {label(best.settings)}")
        tracking.send(
            "selected",
            lineage=step.lineage,
            trial=dict(best.settings),
            trials=len(trials),
            val_miou=best.val_miou,
            fell_out=fell_out,
            table=selection.path,
        )
    if can_be_referred_to(chosen.uri, run_id()):
        model.uri = chosen.uri
    else:
        shutil.copytree(chosen.path, model.path, dirs_exist_ok=True)
