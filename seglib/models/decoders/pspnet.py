"""PSPNet: averages of the image and of its regions as context for every pixel."""

from typing import Any

import keras

from seglib.models.features import Features
from seglib.models.layers.blocks import classify, conv_bn_relu
from seglib.models.layers.resampling import RegionPool, ResizeLike

_BINS = (1, 2, 3, 6)
_WIDTH = 256


def build_pspnet(features: Features, num_classes: int) -> Any:
    """Averages of the deepest map over 1, 4, 9 and 36 regions, joined to each cell.

    The regions are shares of the image, so any size will do. The deepest map is at
    stride 32 here, not 8 as in the paper, whose dilated encoder costs ten times as
    much; P3 (stride 8) joins in before the scores to keep edges.

    Args:
        features: the encoder's maps; a decoder reads the levels it names.
        num_classes: channels of the result.

    Returns:
        Logits, a Keras tensor (N, H, W, num_classes) at the image's size.

    Reference: Zhao et al. 2017, "Pyramid Scene Parsing Network", section 3.2.
    """
    deepest = features[5]
    joined = [conv_bn_relu(deepest, _WIDTH, 1, name="narrow")]
    for bins in _BINS:
        x = RegionPool(bins, name=f"regions{bins}_pool")(deepest)
        # No batch normalisation: a region or two hold no statistics.
        x = keras.layers.Conv2D(
            _WIDTH // len(_BINS), 1, activation="relu", name=f"regions{bins}_conv"
        )(x)
        joined.append(ResizeLike(name=f"regions{bins}_up")(x, deepest))
    x = keras.layers.Concatenate(name="regions_join")(joined)
    x = conv_bn_relu(x, _WIDTH, name="fuse5")
    x = keras.layers.Dropout(0.1, name="fuse5_drop")(x)
    x = features.upsample(x, 5, 3, name="fuse5_up")
    edges = conv_bn_relu(features[3], 64, 1, name="edges")
    x = keras.layers.Concatenate(name="edges_join")([x, edges])
    x = conv_bn_relu(x, _WIDTH // 2, name="fuse3")
    return features.upsample(classify(x, num_classes), 3, 0, name="head_up")
