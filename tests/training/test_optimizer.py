import keras
import numpy as np

from seglib.config import TrainConfig
from seglib.models import build_model
from seglib.training.optimizer import build_optimizer, encoder_of


def test_the_encoder_takes_smaller_steps():
    """Adam's first step has the size of the learning rate, whatever the gradient."""
    network = build_model("compact", num_classes=2, image_size=(32, 32)).network
    config = TrainConfig(
        learning_rate=0.01, encoder_learning_rate=0.1, weight_decay=0.0
    )
    optimizer = build_optimizer(config, network)
    weights = network.trainable_variables
    before = [np.asarray(weight) for weight in weights]
    optimizer.apply([keras.ops.ones_like(weight) * 7.0 for weight in weights])
    slower = {weight.path for weight in encoder_of(network).trainable_variables}
    assert 0 < len(slower) < len(weights)
    for weight, old in zip(weights, before, strict=True):
        step = 0.001 if weight.path in slower else 0.01
        np.testing.assert_allclose(old - np.asarray(weight), step, rtol=2e-3)
