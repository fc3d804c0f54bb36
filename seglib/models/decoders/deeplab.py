"""DeepLabV3+: atrous convolutions of several rates, and a skip from P2 for edges."""

from typing import Any

import keras

from seglib.models.features import Features
from seglib.models.layers.blocks import classify, conv_bn_relu, separable_conv_bn_relu
from seglib.models.layers.resampling import ResizeLike

# Half of the paper's for stride 16: the deepest map is at stride 32 here, where they
# cover the same part of the image.
_RATES = (3, 6, 9)
_WIDTH = 256


def build_deeplab_v3_plus(features: Features, num_classes: int) -> Any:
    """Atrous spatial pyramid pooling on P5, joined with P2, on separable convolutions.

    Args:
        features: the encoder's maps; a decoder reads the levels it names.
        num_classes: channels of the result.

    Returns:
        Logits, a Keras tensor (N, H, W, num_classes) at the image's size.

    Reference: Chen et al. 2018, "Encoder-Decoder with Atrous Separable Convolution",
    sections 3.1 and 3.2; image-level features from Chen et al. 2017, "Rethinking
    Atrous Convolution", section 3.3.
    """
    deepest = features[5]
    branches = [conv_bn_relu(deepest, _WIDTH, 1, name="aspp1")]
    for rate in _RATES:
        branches.append(
            separable_conv_bn_relu(deepest, _WIDTH, dilation=rate, name=f"aspp{rate}")
        )
    scene = keras.layers.GlobalAveragePooling2D(keepdims=True, name="scene_pool")(
        deepest
    )
    # No batch normalisation: one cell an image holds no statistics.
    scene = keras.layers.Conv2D(_WIDTH, 1, activation="relu", name="scene_conv")(scene)
    branches.append(ResizeLike(name="scene_up")(scene, deepest))
    x = keras.layers.Concatenate(name="aspp_join")(branches)
    x = conv_bn_relu(x, _WIDTH, 1, name="aspp")
    x = keras.layers.Dropout(0.1, name="aspp_drop")(x)
    x = features.upsample(x, 5, 2, name="aspp_up")
    edges = conv_bn_relu(features[2], 48, 1, name="edges")
    x = keras.layers.Concatenate(name="edges_join")([x, edges])
    x = separable_conv_bn_relu(x, _WIDTH, name="fuse_a")
    x = separable_conv_bn_relu(x, _WIDTH, name="fuse_b")
    return features.upsample(classify(x, num_classes), 2, 0, name="head_up")
