"""Arguments of keras_segmentation's `train` as seglib's settings."""

from collections.abc import Sequence
from typing import Any

import keras

from seglib.errors import UsageError, unknown

# Views that show the whole image as it is.
UNALTERED: dict[str, Any] = {
    "min_scale": 1.0,
    "max_scale": 1.0,
    "flip": False,
    "color_jitter": 0.0,
}
_OPTIMIZERS = {"adam": "adamw", "adamw": "adamw", "sgd": "sgd"}  # Keras's → ours


def policy_of(name: str, custom: Any) -> Any:
    """The policy that `augmentation_name` and `custom_augmentation` stand for.

    Raises:
        UsageError: the latter gives transforms of imgaug.
    """
    if custom is None:
        return name
    made = custom if hasattr(custom, "to_dict") else custom()
    if hasattr(made, "augment_image"):
        raise UsageError(
            "`custom_augmentation` gave transforms of imgaug, which does not run with "
            "NumPy 2. Expected transforms of albumentations, such as "
            "`albumentations.Compose([albumentations.HorizontalFlip()])`, or a "
            "function `policy(image, mask, rng)` that gives both altered."
        )
    return made


def optimizer_settings(given: Any) -> dict[str, Any]:
    """Settings of `TrainConfig` for an optimizer of Keras, or the name of one.

    Raises:
        UsageError: one that seglib does not have.
    """
    if isinstance(given, str) and given.lower() in _OPTIMIZERS:
        given = keras.optimizers.get(given.lower())
    name = given if isinstance(given, str) else type(given).__name__
    if name.lower() not in _OPTIMIZERS:
        raise unknown("`optimizer_name`", str(name), _OPTIMIZERS)
    settings = {
        "optimizer": _OPTIMIZERS[name.lower()],
        "learning_rate": round(float(given.learning_rate), 9),  # it is a float32
        "weight_decay": float(given.weight_decay or 0),
    }
    if settings["optimizer"] == "sgd":
        settings["momentum"] = float(given.momentum)
    return settings


def callback_settings(
    callbacks: Sequence[Any] | None, *, validate: bool, checkpoints_path: Any
) -> tuple[int, str | None]:
    """The patience and the TensorBoard folder that callbacks of Keras stand for.

    Raises:
        UsageError: another callback, or one that lacks what it needs.
    """
    patience, folder = 0, None
    for callback in callbacks or ():
        if isinstance(callback, keras.callbacks.EarlyStopping) and validate:
            patience = max(1, callback.patience)
        elif isinstance(callback, keras.callbacks.TensorBoard):
            folder = callback.log_dir
        elif isinstance(callback, keras.callbacks.ModelCheckpoint) and checkpoints_path:
            continue  # the model lies there
        else:
            raise UsageError(
                "`callbacks` may hold EarlyStopping (with validate=True: it watches "
                "the mIoU of the val split), TensorBoard, and ModelCheckpoint (with "
                f"checkpoints_path). Received: {type(callback).__name__}. `train` "
                "returns the history; `seglib.train(on_epoch=…)` calls a function "
                "after each epoch."
            )
    return patience, folder


def require_supported(preprocessing: Any, read_image_type: int, channels: int) -> None:
    """Refuse what would show training other pixels than prediction.

    Raises:
        UsageError: a function that changes pixels, or a way of reading that gives
            other channels than the model's.
    """
    if preprocessing is not None:
        raise UsageError(
            "`preprocessing` is refused: normalisation is part of the network, so that "
            "training, evaluation, prediction and exports see the same pixels. Leave "
            "it out; write images as they shall be seen; or make the function a layer "
            "of a network of your own (`get_segmentation_model`)."
        )
    read = {1: 3, 0: 1, -1: channels}.get(read_image_type)
    if read is None or (read_image_type != 1 and read != channels):
        raise UsageError(
            f"`read_image_type` must be 1 (RGB), 0 (grey) or -1 (as stored), and fit "
            f"the model's channels, {channels}. Received: {read_image_type}. Build the "
            f"model with channels={read or 3}."
        )
