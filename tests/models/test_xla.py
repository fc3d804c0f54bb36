"""Training as on a GPU, compiled by XLA in bfloat16; XLA's CPU compiler runs here."""

import keras
import numpy as np
import pytest

from seglib.models import ARCHITECTURES, build_model, build_network
from seglib.models.encoders.encoder import ON_LAST
from seglib.models.features import Features
from seglib.models.layers.resampling import CropLike, PadToMultiple
from seglib.models.layers.upsampling import ResizeLike, Upsample
from seglib.training.losses import CrossEntropy

IMAGES = np.random.default_rng(0).integers(0, 256, (1, 37, 53, 3)).astype(np.uint8)
MASKS = np.random.default_rng(1).integers(0, 3, (1, 37, 53)).astype(np.int32)


@pytest.fixture(autouse=True)
def _as_on_a_gpu(monkeypatch):
    """The layers take the operations that GPUs have."""
    monkeypatch.setattr("seglib.models.layers.upsampling.has_gpu", lambda: True)
    yield
    keras.config.set_dtype_policy("float32")


def _trains(network):
    network.compile("sgd", CrossEntropy(), jit_compile=True)
    assert np.isfinite(network.train_on_batch(IMAGES, MASKS))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_decoder_trains_in_bfloat16_with_xla(name):
    """On averages of the image, for encoders resize nothing and compile slowly."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    image = keras.Input((None, None, 3))
    padded = PadToMultiple(32)(image)
    maps = {"P0": padded}
    for level in range(1, 6):
        maps[f"P{level}"] = keras.layers.AveragePooling2D(2**level)(padded)
    logits = ARCHITECTURES[name].decode(Features(maps, ON_LAST), 3)
    logits = CropLike()(logits, image)
    logits = keras.layers.Activation("linear", dtype="float32")(logits)
    _trains(keras.Model(image, logits))


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_trains_in_bfloat16_with_xla(name):
    model = build_model(name, num_classes=3, image_size=(64, 96))
    _trains(build_network(model.contract, precision="bfloat16"))
    keras.utils.clear_session(free_memory=True)


def _upsample(factor, offset):
    layer = Upsample(factor, offset)
    return lambda x: layer(x, training=True)


def _stretch(x):
    return ResizeLike()(x, np.zeros((2, 11, 7, 1), np.float32))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    "resize",
    [_upsample(2, 0), _upsample(2, 0.5), _upsample(4, 3), _upsample(8, 2), _stretch],
)
def test_a_resize_and_its_gradient_are_those_of_float32_with_xla(resize, dtype):
    import tensorflow as tf

    rng = np.random.default_rng(0)
    x = tf.constant(rng.integers(-8, 9, (2, 4, 3, 2)), "float32")

    def both(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            # What follows computes in the same format, as a convolution would.
            y = tf.nn.relu(resize(tf.nn.relu(x)))
            loss = tf.reduce_sum(tf.cast(y, "float32") ** 2)
        return tf.cast(y, "float32"), tf.cast(tape.gradient(loss, x), "float32")

    keras.config.set_dtype_policy("float32")
    expected = both(x)
    got = tf.function(both, jit_compile=True, autograph=False)(tf.cast(x, dtype))
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=0.02 * np.max(theirs))
