"""Turn a promoted model into the form in which it is served."""

from kfp.dsl import Artifact, Dataset, Input, Model, Output

from components.base import component


@component
def export_model(
    manifest: Input[Dataset],
    model: Input[Model],
    evaluation: Input[Artifact],
    decision: Input[Artifact],
    max_logit_difference: float,
    min_equal_pixels: float,
    publish_to: str,
    publish_name: str,
    export: Output[Model],
) -> None:
    """Export, compare the export with the Keras model, publish, promote. Never cached.

    The files are published at once; `latest` is led to them once the registry has made
    the model champion.

    Args:
        export: saved_model, comparison.json, checksums, and lineage.json: all that led
            to it, back to the masks.
    """
    from dataclasses import asdict
    from pathlib import Path

    from seglib.registry.lineage import write_lineage
    from seglib.registry.release import absolute, publish_export
    from seglib.steps.export import export as export_files
    from seglib.storage import check_place
    from seglib.tracking import run as tracking

    inputs = [manifest, model, evaluation, decision]
    with tracking.step("export", out=export, inputs=inputs) as step:
        config = tracking.config(locals())
        if publish_to:
            check_place(absolute(publish_to), publish_name)
        out = Path(export.path)
        export_files(Path(model.path), out, config=config.export)
        write_lineage(
            out,
            manifest=Path(manifest.path),
            model=Path(model.path),
            evaluation=Path(evaluation.path),
            decision=Path(decision.path),
            steps=step.lineage,
        )
        told = {}
        if publish_to:
            published = publish_export(out, publish_to, publish_name)
            step.say(f"published to {publish_to} as {published.key}")
            told = asdict(published)
        tracking.send(
            "exported", lineage=step.lineage, export=str(out), publication=told
        )
