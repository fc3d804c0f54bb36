"""Write augmented copies of the training images as a few large files."""

from kfp.dsl import HTML, Dataset, Input, Output

from components.base import component


@component
def augment_data(
    manifest: Input[Dataset],
    code_version: str,
    policy: str,
    copies: int,
    num_shards: int,
    augment_seed: int,
    channels: int,
    shards: Output[Dataset],
    preview: Output[HTML],
) -> None:
    """Augment the training split; seeded, so the same input gives the same shards.

    Args:
        manifest: of the verified dataset; only its training split is fetched.
        code_version: changes with the code, so that its outputs are not reused.
        shards: encoded pairs, the originals and their copies, and shards.json.
        preview: originals beside their copies.
    """
    import shutil
    from pathlib import Path

    from seglib.data.manifest import open_dataset
    from seglib.steps.augment import augment
    from seglib.tracking import run as tracking

    with tracking.step("augment", out=shards, inputs=[manifest]) as step:
        config = tracking.config(locals())
        data = open_dataset(Path(manifest.path), splits=("train",))
        out = Path(shards.path)
        augment(
            data,
            out,
            config=config.augment,
            channels=channels,
            progress=step.progress,
        )
        shutil.copy(out / "preview.html", preview.path)
