"""Training as on a GPU, compiled by XLA in bfloat16; XLA's CPU compiler runs here."""

import keras
import numpy as np
import pytest

from seglib.models import ARCHITECTURES, build_model, build_network
from seglib.models.encoders.mix_transformer import SpatialAttention
from seglib.models.layers.resampling import (
    CropLike,
    MaxUnpool,
    PadToMultiple,
    RegionPool,
)
from seglib.models.layers.upsampling import LearntUpsample, ResizeLike, Upsample
from seglib.training.losses import CrossEntropy

SMALLER = np.zeros((2, 3, 2, 1), np.float32)
BEFORE = np.random.default_rng(2).normal(size=(2, 8, 6, 2)).astype(np.float32)


@pytest.fixture(autouse=True)
def _as_on_a_gpu(monkeypatch):
    """The layers take the operations that GPUs have."""
    for layers in ("upsampling", "resampling"):
        monkeypatch.setattr(f"seglib.models.layers.{layers}.has_gpu", lambda: True)
    yield
    keras.config.set_dtype_policy("float32")


def test_padding_is_no_part_of_the_convolution_that_follows():
    """On GPUs its kernel's gradient would be a convolution as large as the image."""
    import tensorflow as tf

    pad, kernel = PadToMultiple(32), tf.Variable(tf.ones((3, 3, 3, 4)))

    @tf.function(jit_compile=True)
    def step(images):
        with tf.GradientTape() as tape:
            x = tf.nn.conv2d(pad(images, training=True), kernel, 1, "SAME")
            loss = tf.reduce_sum(x**2)
        return tape.gradient(loss, kernel)

    compile_for = step.experimental_get_compiler_ir(tf.zeros((1, 40, 64, 3)))
    compiled = compile_for(stage="optimized_hlo")
    assert "size=3x3 pad=1_1x1_1" in compiled
    assert "pad=1_25" not in compiled


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_trains_in_bfloat16_with_xla(name):
    model = build_model(name, num_classes=3, image_size=(64, 96))
    network = build_network(model.contract, precision="bfloat16")
    network.compile("sgd", CrossEntropy(), jit_compile=True)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (1, 37, 53, 3)).astype(np.uint8)
    masks = rng.integers(0, 3, (1, 37, 53)).astype(np.int32)
    assert np.isfinite(network.train_on_batch(images, masks))
    keras.utils.clear_session(free_memory=True)


@pytest.mark.parametrize(
    ("kind", "arguments", "others"),
    [
        (Upsample, (2, 0), ()),
        (Upsample, (2, 0.5), ()),
        (Upsample, (4, 3), ()),
        (Upsample, (8, 2), ()),
        (LearntUpsample, (2, 4, 3), ()),
        (ResizeLike, (), (BEFORE,)),
        (MaxUnpool, (), (BEFORE,)),
        (RegionPool, (3,), ()),
        (PadToMultiple, (8,), ()),
        (CropLike, (), (SMALLER,)),
        (SpatialAttention, (2,), (BEFORE,)),
    ],
)
def test_a_layer_and_its_gradient_are_those_of_float32_with_xla(
    kind, arguments, others
):
    import tensorflow as tf

    exact, rounding = (
        kind(*arguments, dtype=policy) for policy in ("float32", "mixed_bfloat16")
    )
    training = {"training": True} if kind in (Upsample, PadToMultiple) else {}

    def both(layer, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            # What follows computes in the same format, as a convolution would.
            y = tf.nn.relu(layer(tf.nn.relu(x), *others, **training))
            loss = tf.reduce_sum(tf.cast(y, "float32") ** 2)
        return tf.cast(y, "float32"), tf.cast(tape.gradient(loss, x), "float32")

    rng = np.random.default_rng(0)
    x = tf.constant(rng.integers(-8, 9, (2, 4, 3, 2)), "float32")
    expected = both(exact, x)
    both(rounding, x)  # builds it
    rounding.set_weights(exact.get_weights())
    compiled = tf.function(lambda x: both(rounding, x), jit_compile=True)
    for ours, theirs in zip(compiled(tf.cast(x, "bfloat16")), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=0.02 * np.max(theirs))
