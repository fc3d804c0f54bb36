"""The task `export-model`: export, compare with the Keras model, publish."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from seglib.registry.lineage import write_lineage
from seglib.registry.release import absolute, publish_export
from seglib.runtime.step import Artifact
from seglib.steps.export import export as export_files
from seglib.storage.publishing import check_place
from seglib.tasks.task import configure, task


def export_model(
    *,
    manifest: Artifact,
    model: Artifact,
    evaluation: Artifact,
    decision: Artifact,
    export: Artifact,
    **given: Any,
) -> None:
    """Export and publish a model; see the component for the arguments."""
    inputs = [manifest, model, evaluation, decision]
    with task("export", out=export, inputs=inputs) as step:
        config = configure(step, given).export
        place, name = config.publish_to, config.publish_name
        if place:
            check_place(absolute(place), name)
        out = Path(export.path)
        export_files(Path(model.path), out, config=config)
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
            step.say(f"published to {place} as {published.key}")
            publication = asdict(published)
        step.send(
            "exported",
            lineage=step.lineage,
            export=str(out),
            publication=publication,
        )
