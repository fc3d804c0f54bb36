"""A network that is quickly compiled, for trainings in processes of their own."""

from typing import Any

import keras

from seglib.models import build_custom
from seglib.models.model import SegmentationModel

SETTINGS: dict[str, Any] = {
    "epochs": 2,
    "steps_per_epoch": 3,
    "batch_size": 4,
    "learning_rate": 3e-3,
    "freeze_epochs": 1,
    "encoder_learning_rate": 0.5,
    "loss": "cross_entropy + dice",  # whose value is no mean over the processes
}


def build(seed: int, *, dropout: float = 0.0) -> SegmentationModel:
    """It has an encoder and batch normalisation.

    Args:
        dropout: with it no two processes compute what one does.
    """
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    features = keras.Input((None, None, 3))
    # What learns need not be of one type.
    x = layers.Conv2D(8, 3, strides=2, padding="same", dtype="float64")(features)
    x = layers.BatchNormalization(momentum=0.9)(x)
    encoder = keras.Model(features, layers.ReLU()(x), name="encoder")
    image = keras.Input((None, None, 3))
    x = encoder(layers.Rescaling(1 / 255)(image))
    logits = layers.Conv2D(8, 1)(layers.Dropout(dropout)(x) if dropout else x)
    return build_custom(image, logits, image_size=(32, 48), ignore_index=255)
