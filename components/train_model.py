"""Train a network on the shards; its best epoch by val mIoU is kept."""

from kfp.dsl import Dataset, Input, Model, Output

from components.base import component


@component
def train_model(
    manifest: Input[Dataset],
    shards: Input[Dataset],
    code_version: str,
    architecture: str,
    encoder: str,
    weights: str,
    weights_sha256: str,
    image_height: int,
    image_width: int,
    channels: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    encoder_learning_rate: float,
    steps_per_epoch: int,
    max_minutes: float,
    freeze_epochs: int,
    weight_decay: float,
    warmup_steps: int,
    class_weight_power: float,
    crop_height: int,
    crop_width: int,
    min_scale: float,
    max_scale: float,
    flip: bool,
    color_jitter: float,
    precision: str,
    xla: str,
    validate_every: int,
    train_seed: int,
    model: Output[Model],
    trial: str = "",
) -> None:
    """Train, and tell each epoch's outcome as it comes.

    A trial that cannot be trained is no failure: the others go on, and its output says
    why it has no model.

    Args:
        manifest: of the verified dataset; only its val split is fetched.
        shards: what is learnt from.
        code_version: changes with the code, so that its outputs are not reused.
        model: the artifact: network, contract, history and curves.
        trial: of a sweep: settings that go before those above, as JSON.
    """
    import json
    import os
    from dataclasses import replace
    from pathlib import Path

    import keras

    from seglib.data.manifest import open_dataset, read_manifest
    from seglib.distributed import join
    from seglib.errors import DatasetError
    from seglib.models import build_from_config
    from seglib.runtime.attempts import Attempt, tell_before
    from seglib.runtime.step import CHECKPOINTS, KEPT, LOADER_THREADS
    from seglib.runtime.trials import NO_VAL, may_fall_out
    from seglib.steps.train import train
    from seglib.storage import check_place
    from seglib.tracking import run as tracking
    from seglib.training.checkpoints import Checkpoints, forget

    inputs, own = [manifest, shards], json.loads(trial or "{}")
    given = {**locals(), **own}
    with tracking.step(
        "train", out=model, inputs=inputs, watched=True, trial=own
    ) as step:
        # Several pods of a train-job (seglib/runtime/train_together.py), or this one
        # alone.
        processes = join()
        # A pod that dies on the way of its model to KFP's store does not train again.
        place = os.environ.get(CHECKPOINTS)
        notes = Attempt().notes
        kept = Checkpoints(place, keep_outcome=True, notes=notes) if place else None
        if place and "://" in place:
            check_place(place)  # now, for a wrong address is no trial's fault
        with may_fall_out(step):
            config = tracking.config(given)
            facts = read_manifest(Path(manifest.path))
            if own and "val" not in facts.splits:
                raise DatasetError(NO_VAL)
            first = facts.pairs("train")[0]
            network = replace(
                config.model,
                image_height=config.model.image_height or first.height,
                image_width=config.model.image_width or first.width,
            )
            wanted = tuple({"val"} & facts.splits.keys())
            data = open_dataset(Path(manifest.path), splits=wanted)
            # The next pod builds the same network, and so finds its checkpoint.
            keras.utils.set_random_seed(config.train.train_seed)
            train(
                build_from_config(network, data),
                data,
                config=config.train,
                shards=Path(shards.path),
                out=Path(model.path),
                checkpoints=kept,
                processes=processes,
                loader_threads=int(os.environ.get(LOADER_THREADS) or 0),
                on_epoch=step.epoch,
                on_step=step.progress,
            )
        if kept and step.has_fallen_out:
            forget(kept.folder)
        elif kept:
            step.lineage["train"][KEPT] = kept.folder
            tell_before(step.lineage["train"], kept.found)
