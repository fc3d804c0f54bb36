"""Fully convolutional networks: FCN-32, FCN-16 and FCN-8."""

from typing import Any

import keras

from seglib.models.features import Features
from seglib.models.layers.blocks import classify, conv_bn_relu


def build_fcn(features: Features, num_classes: int, *, stride: int) -> Any:
    """Class scores of P5, refined by those of P4 and P3 down to `stride`.

    Upsampling starts as bilinear interpolation and is learnt, as in the paper. Unlike
    there, maps are padded to size rather than cropped by an offset, and the two layers
    before the scores have 256 channels instead of 4096: with those, `fcn_8` on a
    ResNet-50 would hold 451 million parameters.

    Args:
        features: the encoder's maps; a decoder reads the levels it names.
        num_classes: channels of the result.
        stride: of the finest skip: 32 (FCN-32), 16 or 8.

    Returns:
        Logits, a Keras tensor (N, H, W, num_classes) at the image's size.

    Reference: Long, Shelhamer and Darrell 2015, section 4.2.
    """
    x = conv_bn_relu(features[5], 256, name="fc6")
    x = keras.layers.Dropout(0.2, name="fc6_drop")(x)
    x = conv_bn_relu(x, 256, 1, name="fc7")
    logits, level = classify(x, num_classes, name="score5"), 5
    while 2**level > stride:
        finer = level - 1
        logits = features.learnt_upsample(logits, level, finer, name=f"score{level}_up")
        skip = classify(features[finer], num_classes, name=f"score{finer}")
        logits = keras.layers.Add(name=f"score{finer}_add")([logits, skip])
        level = finer
    return features.learnt_upsample(logits, level, 0, name="head_up")
