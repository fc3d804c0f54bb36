"""SegFormer's decoder: linear layers alone on the maps of a strong encoder."""

from typing import Any

import keras

from seglib.models.features import Features
from seglib.models.layers.blocks import classify, conv_bn_relu

_WIDTH = 256


def build_segformer(features: Features, num_classes: int) -> Any:
    """P2 … P5 brought to one width and to stride 4, joined, mixed and classified.

    Args:
        features: the encoder's maps; a decoder reads the levels it names.
        num_classes: channels of the result.

    Returns:
        Logits, a Keras tensor (N, H, W, num_classes) at the image's size.

    Reference: Xie et al. 2021, "SegFormer", section 3.2.
    """
    joined = []
    for level in (5, 4, 3, 2):
        x = keras.layers.Dense(_WIDTH, name=f"linear{level}")(features[level])
        joined.append(features.upsample(x, level, 2, name=f"linear{level}_up"))
    x = keras.layers.Concatenate(name="join")(joined)
    x = conv_bn_relu(x, _WIDTH, 1, name="mix")
    x = keras.layers.Dropout(0.1, name="mix_drop")(x)
    return features.upsample(classify(x, num_classes), 2, 0, name="head_up")
