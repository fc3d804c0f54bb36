"""Close the tracking run, however the pipeline ended."""

from kfp import dsl

from components.base import component


@component
def finalize(
    status: dsl.PipelineTaskFinalStatus,
    data_md5: str,
    remote: str,
    code_version: str,
    num_classes: int,
    ignore_index: int,
    class_names: str,
    policy: str,
    copies: int,
    num_shards: int,
    augment_seed: int,
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
    split: str,
    num_overlays: int,
    min_miou: float,
    max_latency_ms: float,
    max_model_mb: float,
    min_delta: float,
    max_class_drop: float,
    confidence: float,
    bootstrap_block: int,
    registered_model: str,
    max_logit_difference: float,
    min_equal_pixels: float,
    publish_to: str,
    publish_name: str,
    swept: str = "",
) -> None:
    """The exit task: runs last, and also when a step failed.

    It takes every parameter of the pipeline, so that the row of a run that failed
    early, or whose first steps were cached, says what was asked for.

    Args:
        status: how the steps ended, from KFP; a hint, where its API says more.
        remote: where the data are.
        swept: settings that differ by trial, so that the chosen one's are the run's.
    """
    from seglib.runtime.kfp_run import ending
    from seglib.tracking import run as tracking

    settings = tracking.config(locals()).flat()
    with tracking.closing():
        tracking.send(
            "close",
            **ending(status.state),
            parameters={k: v for k, v in settings.items() if k not in swept.split(",")},
            data_md5=data_md5,
            remote=remote,
            code_version=code_version,
            tags=tracking.source_tags(),
        )
