"""A network of one's own layers behaves like the others."""

import keras
import numpy as np
import pytest

from seglib.config import TrainConfig
from seglib.errors import UsageError
from seglib.models import build_custom
from seglib.models.model import load_model
from seglib.steps.train import train


def _layers(classes=3, stride=2, size=(None, None), activation=None):
    inputs = keras.Input((*size, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    x = keras.layers.Conv2D(8, 3, strides=stride, padding="same", activation="relu")(x)
    return inputs, keras.layers.Conv2D(classes, 1, activation=activation)(x)


def test_a_custom_network_predicts_saves_and_loads(tmp_path):
    model = build_custom(*_layers(), image_size=(64, 96))
    image = np.random.default_rng(0).integers(0, 256, (37, 53, 3)).astype(np.uint8)
    assert model.predict(image).shape == (37, 53)
    again = load_model(model.save(tmp_path / "model"))
    assert (again.predict_logits(image) == model.predict_logits(image)).all()
    assert again.contract == model.contract


def test_a_custom_network_trains(tiny_dataset, tmp_path):
    model = build_custom(*_layers(tiny_dataset.num_classes), image_size=(32, 48))
    config = TrainConfig(epochs=3, batch_size=2, learning_rate=0.03, precision="auto")
    history = train(model, tiny_dataset, config=config, out=tmp_path / "model")
    assert history[-1]["loss"] < history[0]["loss"]
    assert load_model(tmp_path / "model").contract.ignore_index == 255


def test_a_network_of_a_fixed_size_predicts_at_any_other():
    model = build_custom(*_layers(size=(64, 96), stride=1))
    assert model.contract.image_size == (64, 96)
    assert model.predict(np.zeros((20, 30, 3), np.uint8)).shape == (20, 30)


def test_a_network_of_any_size_needs_image_size():
    with pytest.raises(UsageError, match="`image_size` is needed"):
        build_custom(*_layers())


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_probabilities_are_refused(activation):
    with pytest.raises(UsageError, match=f"must be logits(.|\n)*'{activation}'"):
        build_custom(*_layers(activation=activation), image_size=(64, 96))


def test_flattened_logits_are_refused():
    inputs, outputs = _layers(size=(64, 96))
    flat = keras.layers.Reshape((-1, 3))(outputs)
    with pytest.raises(UsageError, match=r"`outputs` must be a Keras tensor \(N, hei"):
        build_custom(inputs, flat)


def test_a_network_without_an_encoder_cannot_freeze_it(tiny_dataset):
    model = build_custom(*_layers(tiny_dataset.num_classes), image_size=(32, 48))
    with pytest.raises(UsageError, match="a layer named `encoder`"):
        train(model, tiny_dataset, config=TrainConfig(epochs=2, freeze_epochs=1))
