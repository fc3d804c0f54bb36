"""Decoders that add the encoder's maps: the feature pyramid network and LinkNet."""

from typing import Any

import keras

from seglib.models.features import Features
from seglib.models.layers.blocks import classify, conv_bn_relu

_PYRAMID, _BRANCH = 128, 64


def build_fpn(features: Features, num_classes: int) -> Any:
    """A pyramid P2 … P5 of one width; each level enlarged to stride 4, then summed.

    Args:
        features: the encoder's maps; a decoder reads the levels it names.
        num_classes: channels of the result.

    Returns:
        Logits, a Keras tensor (N, H, W, num_classes) at the image's size.

    Reference: Lin et al. 2017, "Feature Pyramid Networks", section 3, and Kirillov et
    al. 2019, "Panoptic Feature Pyramid Networks", section 3.1, at half their width.
    """
    x = conv_bn_relu(features[5], _PYRAMID, 1, name="lateral5")
    pyramid = {5: x}
    for level in (4, 3, 2):
        x = features.upsample(x, level + 1, level, name=f"pyramid{level}_up")
        lateral = conv_bn_relu(features[level], _PYRAMID, 1, name=f"lateral{level}")
        x = keras.layers.Add(name=f"pyramid{level}_add")([x, lateral])
        pyramid[level] = x
    branches = [_branch(features, x, level) for level, x in pyramid.items()]
    x = keras.layers.Add(name="branches_add")(branches)
    x = keras.layers.Dropout(0.1, name="branches_drop")(x)
    return features.upsample(classify(x, num_classes), 2, 0, name="head_up")


def _branch(features: Features, x: Any, level: int) -> Any:
    """A level of the pyramid, convolved and enlarged in turn up to stride 4."""
    x = conv_bn_relu(x, _BRANCH, name=f"branch{level}_{level}")
    for finer in range(level - 1, 1, -1):
        name = f"branch{level}_{finer}"
        x = features.upsample(x, finer + 1, finer, name=f"{name}_up")
        if finer > 2:
            x = conv_bn_relu(x, _BRANCH, name=name)
    return x


def build_linknet(features: Features, num_classes: int) -> Any:
    """Narrow, enlarge, widen and add the encoder's map: cheap at every level.

    Args:
        features: the encoder's maps; a decoder reads the levels it names.
        num_classes: channels of the result.

    Returns:
        Logits, a Keras tensor (N, H, W, num_classes) at the image's size.

    Reference: Chaurasia and Culurciello 2017, "LinkNet", section 3, with bilinear
    enlargement in place of transposed convolutions, whose checkerboards it avoids.
    """
    *finer, source = features.levels
    x = features[source]
    for level in reversed(finer):
        skip = features[level]
        middle = max(16, x.shape[-1] // 4)
        x = conv_bn_relu(x, middle, 1, name=f"decoder{level}_narrow")
        x = features.upsample(x, source, level, name=f"decoder{level}_up")
        x = conv_bn_relu(x, middle, name=f"decoder{level}")
        x = conv_bn_relu(x, skip.shape[-1], 1, name=f"decoder{level}_widen")
        x = keras.layers.Add(name=f"decoder{level}_add")([x, skip])
        source = level
    x = conv_bn_relu(x, 32, name="last")
    return features.upsample(classify(x, num_classes), source, 0, name="head_up")
