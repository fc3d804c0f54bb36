"""What the tests of several models share."""

import keras
import numpy as np
import pytest


@pytest.fixture(scope="session")
def linear():
    """Turns a network into a linear one that averages what each cell sees.

    Constant kernels, no rectification, averages for maxima, and nothing that looks at
    the whole image: what is left is where in the image each output looks.
    """
    return _linear


def _linear(model):
    copy = keras.models.clone_model(model, clone_function=_stand_in, recursive=True)
    for layer in copy._flatten_layers():
        if not getattr(layer, "layers", None):
            _even_out(layer)
    return copy


def _stand_in(layer):
    config = layer.get_config()
    if isinstance(layer, keras.layers.MaxPooling2D):
        return keras.layers.AveragePooling2D.from_config(config)
    if isinstance(
        layer,
        keras.layers.LayerNormalization | keras.layers.ReLU | keras.layers.Activation,
    ):
        return keras.layers.Activation("linear", name=layer.name)
    return layer.__class__.from_config(config)


def _even_out(layer):
    looks_everywhere = any(
        part in layer.name for part in ("scene", "regions", "_se_", "squeeze_excite")
    )
    for weight in layer.weights:
        shape, kind = tuple(weight.shape), weight.path.split("/")[-1]
        if looks_everywhere:
            value = np.full(shape, float(kind == "bias"))
        elif "attention/" in weight.path:
            value = np.zeros(shape)
        elif "_up" in layer.name:
            continue  # interpolates
        elif isinstance(layer, keras.layers.DepthwiseConv2D):
            value = np.full(shape, 1 / np.prod(shape[:2])) if len(shape) == 4 else 0
        elif kind == "kernel" and len(shape) == 4:
            value = np.full(shape, 1 / np.prod(shape[:3]))
        elif kind == "kernel":
            value = np.full(shape, 1 / shape[0])
        elif kind in ("bias", "beta", "moving_mean"):
            value = np.zeros(shape)
        else:
            value = np.ones(shape)
        weight.assign(np.broadcast_to(value, shape))


@pytest.fixture(scope="session")
def centres_of_sight():
    """The mean columns of the pixels that make up sums over a model's answer."""
    import tensorflow as tf

    def measure(model, width, select):
        images = tf.Variable(np.ones((1, 32, width, model.input.shape[-1]), "float32"))
        with tf.GradientTape(persistent=True) as tape:
            sums = [tf.reduce_sum(x) for x in select(model(images, training=False))]
        centres = []
        for value in sums:
            gradient = np.abs(np.asarray(tape.gradient(value, images))).sum((0, 1, 3))
            centres.append((gradient * np.arange(width)).sum() / gradient.sum())
        return centres

    return measure
