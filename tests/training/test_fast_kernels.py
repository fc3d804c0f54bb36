import keras
import numpy as np
import pytest
import tensorflow as tf

from seglib.training.fast_kernels import use_fast_kernels


def _network(*, precision="float32", rank=4, **options) -> keras.Model:
    shape = (None, None, 3)[-(rank - 1) :]
    image = keras.Input(shape)
    layer = keras.layers.BatchNormalization(momentum=0.9, dtype=precision, **options)
    return keras.Model(image, layer(image))


def _train(network: keras.Model, images: np.ndarray) -> list[np.ndarray]:
    """Outputs, gradients of images and weights, and all variables after it."""
    images = tf.convert_to_tensor(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = network(images, training=True)
        value = tf.reduce_sum(tf.cast(outputs, tf.float32) ** 3)
    gradients = tape.gradient(value, [images, *network.trainable_weights])
    return [np.asarray(tf.cast(x, tf.float32)) for x in [outputs, *gradients]] + [
        np.asarray(v) for v in network.variables
    ]


@pytest.mark.parametrize("shape", [(2, 7, 5, 3), (1, 1, 2, 3)])
@pytest.mark.parametrize(
    "options", [{}, {"scale": False}, {"center": False}, {"epsilon": 1e-6}]
)
def test_the_fused_normalisation_is_keras_s(shape, options):
    images = np.random.default_rng(0).normal(90, 40, shape).astype(np.float32)
    own, fast = _network(**options), _network(**options)
    use_fast_kernels(fast)
    for _ in range(2):
        for expected, received in zip(
            _train(own, images), _train(fast, images), strict=True
        ):
            assert received == pytest.approx(expected, rel=1e-3, abs=1e-3)
    assert np.asarray(fast(images)) == pytest.approx(np.asarray(own(images)), rel=1e-5)


def test_a_frozen_normalisation_stays_frozen():
    images = np.random.default_rng(0).normal(5, 2, (2, 4, 4, 3)).astype(np.float32)
    network = _network()
    use_fast_kernels(network)
    network.trainable = False
    assert np.asarray(network(images, training=True)) == pytest.approx(
        images / np.sqrt(1 + 1e-3), rel=1e-5
    )
    assert np.asarray(network.variables[2]).tolist() == [0, 0, 0]


def test_what_is_no_map_is_normalised_by_keras():
    values = np.random.default_rng(0).normal(5, 2, (8, 3)).astype(np.float32)
    own, fast = _network(rank=2), _network(rank=2)
    use_fast_kernels(fast)
    for expected, received in zip(
        _train(own, values), _train(fast, values), strict=True
    ):
        assert received == pytest.approx(expected)


def test_in_bfloat16_normalisation_is_fused_and_a_depthwise_convolution_float32():
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 1, dtype="mixed_bfloat16")(image)
    x = keras.layers.DepthwiseConv2D(3, dtype="mixed_bfloat16", name="depthwise")(x)
    x = keras.layers.BatchNormalization(dtype="mixed_bfloat16")(x)
    network = keras.Model(image, x)
    use_fast_kernels(network)
    assert network.get_layer("depthwise").compute_dtype == "float32"
    images = np.random.default_rng(0).normal(0, 1, (2, 8, 8, 3)).astype(np.float32)
    step = tf.function(lambda x: network(x, training=True))
    outputs = step(images)
    assert outputs.dtype == tf.bfloat16
    spread = np.asarray(tf.cast(outputs, tf.float32)).std()
    assert spread == pytest.approx(1, abs=0.05)
    kinds = [
        op.type for op in step.get_concrete_function(images).graph.get_operations()
    ]
    assert "FusedBatchNormV3" in kinds
