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
    image_height: int,
    image_width: int,
    channels: int,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    warmup_steps: int,
    class_weight_power: float,
    min_scale: float,
    max_scale: float,
    flip: bool,
    precision: str,
    validate_every: int,
    train_seed: int,
    model: Output[Model],
) -> None:
    """Train, and tell each epoch's outcome as it comes.

    Args:
        manifest: of the verified dataset; only its val split is fetched.
        shards: what is learnt from.
        code_version: changes with the code, so that its outputs are not reused.
        model: the artifact: network, contract, history and curves.
    """
    from pathlib import Path

    from components import tracking
    from seglib.data.manifest import open_dataset
    from seglib.models import build_from_config
    from seglib.train import train

    with tracking.step("train", out=model, inputs=[manifest, shards]) as step:
        config = tracking.config(locals())
        data = open_dataset(Path(manifest.path), splits=("val",))
        train(
            build_from_config(config.model, data),
            data,
            config=config.train,
            shards=Path(shards.path),
            out=Path(model.path),
            on_epoch=step.epoch,
            on_step=step.progress,
        )
