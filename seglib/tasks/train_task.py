"""The task `train-model`: train a network on the shards."""

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from seglib.data.manifest import open_dataset, read_manifest
from seglib.distributed import ProcessGroup, join
from seglib.environment import CHECKPOINTS, LOADER_THREADS
from seglib.errors import DatasetError
from seglib.models import build_from_config
from seglib.registry.weights import fetch_weights
from seglib.runtime.provenance import (
    AUGMENTATION_PAGE,
    FAILURE_REASON,
    KEPT,
    add_earlier_attempts,
    next_notes,
)
from seglib.runtime.step import Artifact, RunningStep
from seglib.runtime.trials import NO_VAL, trial_may_fail
from seglib.steps.train import train
from seglib.storage.publishing import check_place
from seglib.tasks.task import configure, task
from seglib.training.checkpoints import Checkpoints, forget


def train_model(
    *,
    manifest: Artifact,
    shards: Artifact,
    model: Artifact,
    trial: str = "",
    **given: Any,
) -> None:
    """Train, and tell each epoch's outcome; see the component for the arguments.

    In one of several processes, all of them call this; the first one writes the model.
    """
    own = json.loads(trial or "{}")
    inputs = [manifest, shards]
    with task("train", out=model, inputs=inputs, watched=True, trial=own) as step:
        processes = join()
        kept = _checkpoints()
        with trial_may_fail(step):
            _train(step, {**given, **own}, kept, processes, inputs, model)
        if kept and FAILURE_REASON in step.origin:
            forget(kept.folder)
        elif kept:
            step.origin[KEPT] = kept.folder
            add_earlier_attempts(step.origin, kept.found)


def _checkpoints() -> Checkpoints | None:
    """The training's checkpoints; its outcome is kept, too.

    A pod that dies while its model goes to KFP's store then need not train again.

    Raises:
        SegError: they cannot be written to. It is no trial's fault.
    """
    place, began = os.environ.get(CHECKPOINTS), time.monotonic()
    if not place:
        return None
    kept = Checkpoints(
        place,
        keep_outcome=True,
        notes=lambda found: next_notes(found, time.monotonic() - began),
    )
    if "://" in place:
        check_place(place)
    return kept


def _train(
    step: RunningStep,
    given: dict[str, Any],
    kept: Checkpoints | None,
    processes: ProcessGroup,
    inputs: list[Artifact],
    model: Artifact,
) -> None:
    manifest, shards = (Path(artifact.path) for artifact in inputs)
    config = configure(step, given)
    facts = read_manifest(manifest)
    if step.is_trial and "val" not in facts.splits:
        raise DatasetError(NO_VAL)
    data = open_dataset(manifest, splits=tuple({"val"} & facts.splits.keys()))
    first = facts.pairs("train")[0]
    network = replace(
        config.model,
        image_height=config.model.image_height or first.height,
        image_width=config.model.image_width or first.width,
    )
    # The next pod builds the same network, and so finds its checkpoint.
    keras.utils.set_random_seed(config.train.train_seed)
    train(
        build_from_config(network, data, weights=fetch_weights(network.weights)),
        data,
        config=config.train,
        shards=shards,
        out=Path(model.path),
        checkpoints=kept,
        processes=processes,
        loader_threads=int(os.environ.get(LOADER_THREADS) or 0),
        on_epoch=step.epoch,
        progress=step.progress,
    )
    # It goes where the model goes: later runs reuse the model, and show the page.
    if (page := shards / "preview.html").exists() and processes.is_first:
        shutil.copy(page, Path(model.path) / AUGMENTATION_PAGE)
