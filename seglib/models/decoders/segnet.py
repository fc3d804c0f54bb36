"""SegNet, with the encoder's pooling indices, and its relatives."""

from typing import Any

import keras

from seglib.models.features import Features
from seglib.models.layers.blocks import classify, conv_bn_relu
from seglib.models.layers.resampling import MaxUnpool


def build_segnet(
    features: Features, num_classes: int, *, indices: bool = True, dropout: float = 0.0
) -> Any:
    """Mirror the encoder: unpool and convolve, level by level, to the image's size.

    Args:
        features: the encoder's maps.
        num_classes: channels of the result.
        indices: put values back where the encoder's pooling took the maximum from;
            otherwise interpolate, which any encoder allows.
        dropout: rate after the three deepest levels; kept on while sampling.

    Returns:
        Logits, a Keras tensor (N, H, W, num_classes) at the image's size.

    Reference: Badrinarayanan, Kendall and Cipolla 2017, "SegNet", section 3; dropout
    after Kendall, Badrinarayanan and Cipolla 2017, "Bayesian SegNet", section 4.
    """
    *finer, source = features.levels
    x = features[source]
    for level in reversed(finer):
        before = features[level]
        filters = min(512, before.shape[-1])
        if indices:
            if x.shape[-1] != filters:
                x = conv_bn_relu(x, filters, 1, name=f"decoder{level}_fit")
            x = MaxUnpool(name=f"decoder{level}_unpool")(x, before)
        else:
            x = features.upsample(x, source, level, name=f"decoder{level}_up")
        if level == 0:  # the mirror of the encoder's first convolution
            return classify(x, num_classes, kernel_size=3)
        narrower = features[level - 1].shape[-1] if level - 1 in finer else filters
        x = conv_bn_relu(x, min(512, narrower), name=f"decoder{level}")
        if dropout and level >= 3:
            x = keras.layers.Dropout(dropout, name=f"decoder{level}_drop")(x)
        source = level
    return features.upsample(classify(x, num_classes), source, 0, name="head_up")
