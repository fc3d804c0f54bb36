"""Decoders: features in, logits (N, H, W, num_classes) at the input's size out."""

from typing import Any

import keras

from seglib.models.encoders import Features
from seglib.models.layers import conv_bn_relu, upsample


def build_unet(features: Features, num_classes: int) -> Any:
    """U-Net: upsample, join the encoder's features of the same size, convolve twice.

    Same-padded, so the output has the input's size.

    Reference: Ronneberger, Fischer and Brox 2015, figure 1.
    """
    levels = [level for level in (4, 3, 2, 1, 0) if f"P{level}" in features]
    x = features[f"P{levels[0]}"]
    for level in levels[1:]:
        skip = features[f"P{level}"]
        x = upsample(x, 2, name=f"decoder{level}_up")
        x = keras.layers.Concatenate(name=f"decoder{level}_join")([x, skip])
        filters = max(16, min(256, skip.shape[-1]))
        x = conv_bn_relu(x, filters, name=f"decoder{level}a")
        x = conv_bn_relu(x, filters, name=f"decoder{level}b")
    logits = _classify(x, num_classes, name="head")
    return upsample(logits, 2 ** levels[-1], name="head_up") if levels[-1] else logits


def build_fcn(features: Features, num_classes: int, *, stride: int) -> Any:
    """FCN-32, FCN-16 and FCN-8: class scores of P5, refined by those of P4 and P3.

    Upsampling starts as bilinear interpolation and is learnt, as in the paper; unlike
    there, features are padded to size rather than cropped by an offset.

    Reference: Long, Shelhamer and Darrell 2015, section 4.2.
    """
    x = conv_bn_relu(features["P5"], 256, name="fc6")
    x = keras.layers.Dropout(0.2, name="fc6_drop")(x)
    x = conv_bn_relu(x, 256, 1, name="fc7")
    logits = _classify(x, num_classes, name="score5")
    level = 5
    while 2**level > stride:
        level -= 1
        logits = _learnt_upsample(logits, 2, name=f"score{level + 1}_up")
        skip = _classify(features[f"P{level}"], num_classes, name=f"score{level}")
        logits = keras.layers.Add(name=f"score{level}_add")([logits, skip])
    return _learnt_upsample(logits, stride, name="head_up")


def build_compact(features: Features, num_classes: int) -> Any:
    """A light top-down pyramid: 1×1 laterals, one 3×3 a level, scores at stride 2.

    P5 is gated by the image's average, so that a pixel knows its scene; P1 keeps poles
    and people, a few pixels wide, apart from what is behind them.

    Reference: after Lin et al. 2017, "Feature Pyramid Networks", section 3, and the
    image-level features of Chen et al. 2017, "Rethinking Atrous Convolution", 3.3.
    """
    x = conv_bn_relu(features["P5"], 128, 1, name="lateral5")
    scene = keras.layers.GlobalAveragePooling2D(keepdims=True, name="scene_pool")(x)
    scene = keras.layers.Dense(128, activation="sigmoid", name="scene_gate")(scene)
    x = keras.layers.Multiply(name="scene_apply")([x, scene])
    for level, filters in ((4, 128), (3, 96), (2, 64), (1, 32)):
        x = conv_bn_relu(x, filters, 1, name=f"narrow{level}")
        x = upsample(x, 2, name=f"decoder{level}_up")
        lateral = conv_bn_relu(
            features[f"P{level}"], filters, 1, name=f"lateral{level}"
        )
        x = keras.layers.Add(name=f"decoder{level}_add")([x, lateral])
        x = conv_bn_relu(x, filters, name=f"decoder{level}")
    return upsample(_classify(x, num_classes, name="head"), 2, name="head_up")


def _classify(x: Any, num_classes: int, *, name: str) -> Any:
    return keras.layers.Conv2D(num_classes, 1, name=name)(x)


def _learnt_upsample(x: Any, factor: int, *, name: str) -> Any:
    channels = x.shape[-1]
    return keras.layers.Conv2DTranspose(
        channels,
        2 * factor,
        strides=factor,
        padding="same",
        use_bias=False,
        kernel_initializer=BilinearInitializer(),
        name=name,
    )(x)


@keras.saving.register_keras_serializable("seglib")
class BilinearInitializer(keras.initializers.Initializer):
    """A transposed convolution that starts as bilinear interpolation."""

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        size, _, channels, _ = shape
        centre = (size - 1) / 2
        ramp = 1 - keras.ops.abs(keras.ops.arange(size, dtype="float32") - centre) / (
            size / 2
        )
        kernel = ramp[:, None] * ramp[None, :]
        identity = keras.ops.eye(channels, dtype="float32")
        return keras.ops.cast(kernel[:, :, None, None] * identity, dtype or "float32")
