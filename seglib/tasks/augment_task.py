"""The task `augment-data`: write augmented copies of the training images."""

import shutil
from pathlib import Path
from typing import Any

from seglib.data.manifest import open_dataset
from seglib.runtime.step import Artifact
from seglib.steps.augment import augment
from seglib.tasks.task import configure, task


def augment_data(
    *, manifest: Artifact, shards: Artifact, preview: Artifact, **given: Any
) -> None:
    """Augment the training split; see the component for the arguments."""
    with task("augment", out=shards, inputs=[manifest]) as step:
        config = configure(step, given)
        data = open_dataset(Path(manifest.path), splits=("train",))
        out = Path(shards.path)
        augment(
            data,
            out,
            config=config.augment,
            channels=config.model.channels,
            progress=step.progress,
        )
        shutil.copy(out / "preview.html", preview.path)
