"""The tasks `select-model` and `export-model`: the model that is taken, and served."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seglib.data.manifest import open_dataset, read_manifest
from seglib.exports import litert
from seglib.registry.lineage import write_lineage
from seglib.registry.release import absolute, publish_export
from seglib.runtime.events import run_id
from seglib.runtime.provenance import KEPT, read_lineage
from seglib.runtime.step import Artifact
from seglib.runtime.trials import (
    TABLE,
    best_of,
    can_be_referred_to,
    failures,
    label,
    read_trial,
    write_selection,
)
from seglib.steps.export import export as export_files
from seglib.storage.publishing import check_place
from seglib.tasks.task import configure, task
from seglib.training.checkpoints import forget

logger = logging.getLogger(__name__)


def select_model(
    *,
    models: Sequence[Artifact],
    model: Artifact,
    selection: Artifact,
    table: Artifact,
) -> None:
    """Of a sweep's models, give on the best by val mIoU."""
    with task("select", out=selection, inputs=models) as step:
        trials = [read_trial(Path(one.path)) for one in models]
        failed = failures(trials)
        for name, reason in failed.items():
            logger.info("failed trial %s: %s", name, reason)
        number = best_of(trials)
        best, chosen = trials[number], models[number]
        step.lineage.update(read_lineage(Path(chosen.path)))
        # The others have come through, whole: their trainings need not be remembered.
        for other in (one for one in models if one is not chosen):
            if kept := read_lineage(Path(other.path)).get("train", {}).get(KEPT):
                forget(kept)
        write_selection(trials, Path(selection.path))
        shutil.copy(Path(selection.path) / TABLE, table.path)
        logger.info("the best of %d trials: %s", len(trials), label(best.settings))
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


def export_model(
    *,
    manifest: Artifact,
    model: Artifact,
    evaluation: Artifact,
    decision: Artifact,
    export: Artifact,
    **given: Any,
) -> None:
    """Export a model, compare the export with it, and publish it."""
    inputs = [manifest, model, evaluation, decision]
    with task("export", out=export, inputs=inputs) as step:
        config = configure(step, given).export
        place, name = config.publish_to, config.publish_name
        if place:
            check_place(absolute(place), name)
        out = Path(export.path)
        wanted = (
            {"val", "train"} if litert.INTEGER in config.export_formats else {"val"}
        )
        splits = wanted & read_manifest(Path(manifest.path)).splits.keys()
        data = open_dataset(Path(manifest.path), splits=tuple(splits))
        export_files(Path(model.path), out, config=config, data=data)
        write_lineage(
            out,
            manifest=Path(manifest.path),
            model=Path(model.path),
            evaluation=Path(evaluation.path),
            decision=Path(decision.path),
            steps=step.lineage,
        )
        publication = {}
        if place:
            published = publish_export(out, place, name)
            logger.info("published to %s as %s", place, published.key)
            publication = asdict(published)
        step.send(
            "exported", lineage=step.lineage, export=str(out), publication=publication
        )
