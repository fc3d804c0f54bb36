"""U-Net and U-Net++: every level joined with the encoder's map of its size."""

from itertools import pairwise
from typing import Any

import keras

from seglib.models.features import Features
from seglib.models.layers.blocks import classify, conv_bn_relu


def build_unet(features: Features, num_classes: int) -> Any:
    """U-Net: upsample, join the encoder's map of the same size, convolve twice.

    Same-padded, so the output has the input's size.

    Args:
        features: the encoder's maps; a decoder reads the levels it names.
        num_classes: channels of the result.

    Returns:
        Logits, a Keras tensor (N, H, W, num_classes) at the image's size.

    Reference: Ronneberger, Fischer and Brox 2015, figure 1.
    """
    *finer, deepest = features.levels
    x, source = features[deepest], deepest
    for level in reversed(finer):
        skip = features[level]
        x = features.upsample(x, source, level, name=f"decoder{level}_up")
        x = keras.layers.Concatenate(name=f"decoder{level}_join")([x, skip])
        filters = _width(skip)
        x = conv_bn_relu(x, filters, name=f"decoder{level}a")
        x = conv_bn_relu(x, filters, name=f"decoder{level}b")
        source = level
    return features.upsample(classify(x, num_classes), source, 0, name="head_up")


def build_unet_plus_plus(features: Features, num_classes: int) -> Any:
    """U-Net++: between encoder and decoder a triangle of densely joined maps.

    Node j of a level joins all earlier nodes of its level and node j - 1 of the level
    below. The last node of the finest level is classified (no deep supervision).

    Args:
        features: the encoder's maps; a decoder reads the levels it names.
        num_classes: channels of the result.

    Returns:
        Logits, a Keras tensor (N, H, W, num_classes) at the image's size.

    Reference: Zhou et al. 2018, "UNet++", section 3.1.
    """
    levels = features.levels
    nodes = {level: [features[level]] for level in levels}
    for step in range(1, len(levels)):
        for level, below in list(pairwise(levels))[: len(levels) - step]:
            name = f"node{level}_{step}"
            x = features.upsample(
                nodes[below][step - 1], below, level, name=f"{name}_up"
            )
            x = keras.layers.Concatenate(name=f"{name}_join")([*nodes[level], x])
            x = conv_bn_relu(x, _width(features[level]), name=name)
            nodes[level].append(x)
    x = nodes[levels[0]][-1]
    return features.upsample(classify(x, num_classes), levels[0], 0, name="head_up")


def _width(skip: Any) -> int:
    return max(16, min(256, skip.shape[-1]))
