"""Compact networks for real time on CPUs."""

from typing import Any

import keras

from seglib.models.features import Features
from seglib.models.layers.blocks import classify, conv_bn_relu


def build_compact(features: Features, num_classes: int, *, width: float = 1.0) -> Any:
    """A light top-down pyramid: 1×1 laterals, one 3×3 a level, scores at stride 2.

    A gate computed from the image's average multiplies P5, which gives every pixel the
    context of its scene. P1 keeps objects of a few pixels, such as poles, separate from
    their background.

    Args:
        features: the encoder's maps; a decoder reads the levels it names.
        num_classes: channels of the result.
        width: factor on the number of channels of every layer.

    Returns:
        Logits, a Keras tensor (N, H, W, num_classes) at the image's size.

    Reference: after Lin et al. 2017, "Feature Pyramid Networks", section 3, and the
    image-level features of Chen et al. 2017, "Rethinking Atrous Convolution", 3.3.
    """
    x = conv_bn_relu(features[5], int(128 * width), 1, name="lateral5")
    scene = keras.layers.GlobalAveragePooling2D(keepdims=True, name="scene_pool")(x)
    scene = keras.layers.Dense(
        int(128 * width), activation="sigmoid", name="scene_gate"
    )(scene)
    x = keras.layers.Multiply(name="scene_apply")([x, scene])
    for level, full in ((4, 128), (3, 96), (2, 64), (1, 32)):
        filters = int(full * width)
        x = conv_bn_relu(x, filters, 1, name=f"narrow{level}")
        x = features.upsample(x, level + 1, level, name=f"decoder{level}_up")
        lateral = conv_bn_relu(features[level], filters, 1, name=f"lateral{level}")
        x = keras.layers.Add(name=f"decoder{level}_add")([x, lateral])
        x = conv_bn_relu(x, filters, name=f"decoder{level}")
    return features.upsample(classify(x, num_classes), 1, 0, name="head_up")
