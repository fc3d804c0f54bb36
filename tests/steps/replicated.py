"""A process of its own with two devices, as TensorFlow sees its CPU: what each learns.

    python tests/steps/replicated.py DATA PLACE

Prints, as JSON, what came of a training on one and on both devices, and of one on both
that was interrupted; and what a teacher is told there. PLACE: for the checkpoints.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

from seglib.config import TrainConfig
from seglib.data.dataset import Dataset
from seglib.data.verification.loading import load_dataset
from seglib.errors import UsageError
from seglib.models import build_custom
from seglib.models.model import SegmentationModel
from seglib.steps.train import train
from seglib.training.checkpoints import Checkpoints
from seglib.training.distillation import Distillation

BOTH = ("CPU:0", "CPU:1")
SETTINGS: dict[str, Any] = {
    "epochs": 2,
    "steps_per_epoch": 3,
    "batch_size": 4,
    "learning_rate": 3e-3,
    "freeze_epochs": 1,
    "encoder_learning_rate": 0.5,
}


def build(seed: int) -> SegmentationModel:
    """A network that is quickly compiled; with dropout no two devices are alike."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    features = keras.Input((None, None, 3))
    # What learns need not be of one type.
    x = layers.Conv2D(8, 3, strides=2, padding="same", dtype="float64")(features)
    x = layers.BatchNormalization(momentum=0.9)(x)
    encoder = keras.Model(features, layers.ReLU()(x), name="encoder")
    image = keras.Input((None, None, 3))
    logits = layers.Conv2D(8, 1)(encoder(layers.Rescaling(1 / 255)(image)))
    return build_custom(image, logits, image_size=(32, 48), ignore_index=255)


def run(
    data: Dataset,
    devices: tuple[str, ...],
    *,
    place: str | None = None,
    stop: int = 0,
) -> dict[str, Any] | None:
    """Train; `None` if it was stopped after some steps."""
    model = build(7)

    def on_step(done: int, _total: int) -> None:
        if done == stop:
            raise KeyboardInterrupt

    try:
        history = train(
            model,
            data,
            config=TrainConfig(**SETTINGS),
            checkpoints=place and Checkpoints(place, every_s=0, largest_share=1e9),
            devices=devices,
            on_step=on_step,
        )
    except KeyboardInterrupt:
        return None
    return {
        "losses": [row["loss"] for row in history],
        "mious": [row["train_miou"] for row in history],
        "weights": [np.ravel(w).tolist() for w in model.network.get_weights()],
    }


def teach(data: Dataset) -> str:
    try:
        train(build(7), data, distillation=Distillation(teacher=build(3)), devices=BOTH)
    except UsageError as error:
        return str(error)
    return ""


def main() -> None:
    root, place = sys.argv[1:]
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    # Threads add up in an order of their own; with this they do not.
    tf.config.experimental.enable_op_determinism()
    data = load_dataset(Path(root))
    outcomes = {
        "one": run(data, BOTH[:1]),
        "both": run(data, BOTH),
        "stopped": run(data, BOTH, place=place, stop=5),
        "resumed": run(data, BOTH, place=place),
        "taught": teach(data),
    }
    sys.stdout.write(json.dumps(outcomes) + "\n")


if __name__ == "__main__":
    main()
