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
    loss: str,
    class_weights: str,
    class_weight_power: float,
    rare_class_views: float,
    deep_supervision: float,
    optimizer: str,
    momentum: float,
    weight_decay: float,
    clip_norm: float,
    ema_decay: float,
    accumulate: int,
    schedule: str,
    warmup_steps: int,
    crop_height: int,
    crop_width: int,
    min_scale: float,
    max_scale: float,
    flip: bool,
    color_jitter: float,
    train_policy: str,
    precision: str,
    xla: str,
    validate_every: int,
    best_by: str,
    patience: int,
    train_seed: int,
    model: Output[Model],
    trial: str = "",
) -> None:
    """Train, and tell each epoch's outcome as it comes.

    A failed trial is no failed task: the others go on, and its output says why it has
    no model.

    Args:
        manifest: of the verified dataset; only its val split is fetched.
        shards: the training data.
        code_version: changes with the code, so that its outputs are not reused.
        model: the artifact: network, contract, history and curves.
        trial: of a sweep: settings that replace those above, as JSON.
    """
    given = locals()
    from seglib.tasks import train_task as task

    task.train_model(**given)
