"""Turn a promoted model into the form in which it is served."""

from kfp.dsl import Input, Model, Output

from components.base import component


@component
def export_model(
    model: Input[Model],
    max_logit_difference: float,
    min_equal_pixels: float,
    export: Output[Model],
) -> None:
    """Export, and compare the export with the Keras model. Never cached.

    Args:
        export: saved_model, comparison.json and checksums.
    """
    from pathlib import Path

    from components import tracking
    from seglib.steps.export import export as export_files

    with tracking.step("export", out=export, inputs=[model]) as step:
        config = tracking.config(locals())
        out = Path(export.path)
        export_files(Path(model.path), out, config=config.export)
        tracking.send("exported", lineage=step.lineage, export=str(out))
