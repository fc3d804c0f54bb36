"""The decoders: from the encoder's maps to logits at the image's size.

Each takes `features`, of which it reads the levels that it names, and `num_classes`,
and returns logits, a Keras tensor (N, H, W, num_classes) at the size of the image.
"""

from itertools import pairwise
from typing import Any

import keras

from seglib.models.features import CENTRED, Features
from seglib.models.layers.blocks import (
    batch_norm,
    classify,
    conv_bn_relu,
    separable_conv_bn_relu,
)
from seglib.models.layers.resampling import MaxUnpool, RegionPool
from seglib.models.layers.upsampling import ResizeLike

_WIDTH = 256  # of the decoders that work on the deepest map
_PYRAMID, _BRANCH = 128, 64
_BINS = (1, 2, 3, 6)
# Half of DeepLab's for stride 16: the deepest map is at stride 32 here, where they
# cover the same part of the image.
_RATES = (3, 6, 9)


def build_compact(features: Features, num_classes: int, *, width: float = 1.0) -> Any:
    """A light top-down pyramid for CPUs: 1×1 laterals, a 3×3 a level, scores at P1.

    A gate computed from the image's average multiplies P5, which gives every pixel the
    context of its scene. P1 keeps objects of a few pixels, such as poles, separate from
    their background.

    Args:
        width: factor on the number of channels of every layer.

    Reference: after Lin et al. 2017, "Feature Pyramid Networks for Object Detection",
    and the image-level features of Chen et al. 2017, "Rethinking Atrous Convolution for
    Semantic Image Segmentation".
    """
    x = conv_bn_relu(features[5], int(128 * width), 1, name="lateral5")
    scene = keras.layers.GlobalAveragePooling2D(keepdims=True, name="scene_pool")(x)
    gate = keras.layers.Dense(int(128 * width), activation="sigmoid", name="scene_gate")
    x = keras.layers.Multiply(name="scene_apply")([x, gate(scene)])
    for level, full in ((4, 128), (3, 96), (2, 64), (1, 32)):
        filters = int(full * width)
        x = conv_bn_relu(x, filters, 1, name=f"narrow{level}")
        x = features.upsample(x, level + 1, level, name=f"decoder{level}_up")
        lateral = conv_bn_relu(features[level], filters, 1, name=f"lateral{level}")
        x = keras.layers.Add(name=f"decoder{level}_add")([x, lateral])
        x = conv_bn_relu(x, filters, name=f"decoder{level}")
    return features.upsample(classify(x, num_classes), 1, 0, name="head_up")


def build_unet(features: Features, num_classes: int) -> Any:
    """U-Net: upsample, join the encoder's map of the same size, convolve twice.

    Same-padded, so the output has the input's size.

    Reference: Ronneberger, Fischer and Brox 2015, "U-Net: Convolutional Networks for
    Biomedical Image Segmentation".
    """
    *finer, source = features.levels
    x = features[source]
    for level in reversed(finer):
        skip, filters = features[level], _unet_width(features[level])
        x = features.upsample(x, source, level, name=f"decoder{level}_up")
        x = keras.layers.Concatenate(name=f"decoder{level}_join")([x, skip])
        x = conv_bn_relu(x, filters, name=f"decoder{level}a")
        x = conv_bn_relu(x, filters, name=f"decoder{level}b")
        source = level
    return features.upsample(classify(x, num_classes), source, 0, name="head_up")


def build_unet_plus_plus(features: Features, num_classes: int) -> Any:
    """U-Net++: between encoder and decoder a triangle of densely joined maps.

    Node j of a level joins all earlier nodes of its level and node j - 1 of the level
    below. The last node of the finest level is classified (no deep supervision).

    Reference: Zhou et al. 2018, "UNet++: A Nested U-Net Architecture for Medical Image
    Segmentation".
    """
    levels = features.levels
    nodes = {level: [features[level]] for level in levels}
    for step in range(1, len(levels)):
        for level, below in list(pairwise(levels))[: len(levels) - step]:
            name, deeper = f"node{level}_{step}", nodes[below][step - 1]
            x = features.upsample(deeper, below, level, name=f"{name}_up")
            x = keras.layers.Concatenate(name=f"{name}_join")([*nodes[level], x])
            x = conv_bn_relu(x, _unet_width(features[level]), name=name)
            nodes[level].append(x)
    x = nodes[levels[0]][-1]
    return features.upsample(classify(x, num_classes), levels[0], 0, name="head_up")


def _unet_width(skip: Any) -> int:
    return max(16, min(256, skip.shape[-1]))


def build_fpn(features: Features, num_classes: int) -> Any:
    """A pyramid P2 … P5 of one width; each level enlarged to stride 4, then summed.

    Reference: Lin et al. 2017, "Feature Pyramid Networks for Object Detection", and
    Kirillov et al. 2019, "Panoptic Feature Pyramid Networks", at half their width.
    """
    x = conv_bn_relu(features[5], _PYRAMID, 1, name="lateral5")
    pyramid = {5: x}
    for level in (4, 3, 2):
        x = features.upsample(x, level + 1, level, name=f"pyramid{level}_up")
        lateral = conv_bn_relu(features[level], _PYRAMID, 1, name=f"lateral{level}")
        x = keras.layers.Add(name=f"pyramid{level}_add")([x, lateral])
        pyramid[level] = x
    branches = [_fpn_branch(features, x, level) for level, x in pyramid.items()]
    x = keras.layers.Add(name="branches_add")(branches)
    x = keras.layers.Dropout(0.1, name="branches_drop")(x)
    return features.upsample(classify(x, num_classes), 2, 0, name="head_up")


def _fpn_branch(features: Features, x: Any, level: int) -> Any:
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

    Reference: Chaurasia and Culurciello 2017, "LinkNet: Exploiting Encoder
    Representations for Efficient Semantic Segmentation", with bilinear enlargement in
    place of transposed convolutions, whose checkerboards it avoids.
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


def build_pspnet(features: Features, num_classes: int) -> Any:
    """Averages of the deepest map over 1, 4, 9 and 36 regions, joined to each cell.

    The regions are shares of the image, so any size will do. The deepest map is at
    stride 32 here, not 8 as in the paper, whose dilated encoder costs ten times as
    much; P3 (stride 8) joins in before the scores to keep edges.

    Reference: Zhao et al. 2017, "Pyramid Scene Parsing Network".
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


def build_deeplab_v3_plus(features: Features, num_classes: int) -> Any:
    """Atrous spatial pyramid pooling on P5, joined with P2, on separable convolutions.

    Reference: Chen et al. 2018, "Encoder-Decoder with Atrous Separable Convolution for
    Semantic Image Segmentation"; image-level features from Chen et al. 2017,
    "Rethinking Atrous Convolution for Semantic Image Segmentation".
    """
    deepest = features[5]
    branches = [conv_bn_relu(deepest, _WIDTH, 1, name="aspp1")]
    for rate in _RATES:
        branches.append(
            separable_conv_bn_relu(deepest, _WIDTH, dilation=rate, name=f"aspp{rate}")
        )
    pool = keras.layers.GlobalAveragePooling2D(keepdims=True, name="scene_pool")
    # No batch normalisation: one cell an image holds no statistics.
    scene = keras.layers.Conv2D(_WIDTH, 1, activation="relu", name="scene_conv")
    branches.append(ResizeLike(name="scene_up")(scene(pool(deepest)), deepest))
    x = keras.layers.Concatenate(name="aspp_join")(branches)
    x = conv_bn_relu(x, _WIDTH, 1, name="aspp")
    x = keras.layers.Dropout(0.1, name="aspp_drop")(x)
    x = features.upsample(x, 5, 2, name="aspp_up")
    edges = conv_bn_relu(features[2], 48, 1, name="edges")
    x = keras.layers.Concatenate(name="edges_join")([x, edges])
    x = separable_conv_bn_relu(x, _WIDTH, name="fuse_a")
    x = separable_conv_bn_relu(x, _WIDTH, name="fuse_b")
    return features.upsample(classify(x, num_classes), 2, 0, name="head_up")


def build_segformer(
    features: Features, num_classes: int, *, width: int = _WIDTH
) -> Any:
    """P2 … P5 brought to one width and to stride 4, joined, mixed and classified.

    Maps are enlarged as the published weights know it: every cell counts as centred on
    its pixels, whatever the encoder says.

    Args:
        width: 256 in SegFormer-B0 and B1, 768 in B2 … B5.

    Reference: Xie et al. 2021, "SegFormer: Simple and Efficient Design for Semantic
    Segmentation with Transformers".
    """
    features = Features(features.maps, CENTRED)
    joined = []
    for level in (5, 4, 3, 2):
        x = keras.layers.Dense(width, name=f"linear{level}")(features[level])
        joined.append(features.upsample(x, level, 2, name=f"linear{level}_up"))
    x = keras.layers.Concatenate(name="join")(joined)
    x = keras.layers.Conv2D(
        width, 1, use_bias=False, kernel_initializer="he_normal", name="mix_conv"
    )(x)
    x = batch_norm(x, epsilon=1e-5, name="mix_bn")
    x = keras.layers.ReLU(name="mix_relu")(x)
    x = keras.layers.Dropout(0.1, name="mix_drop")(x)
    return features.upsample(classify(x, num_classes), 2, 0, name="head_up")


def build_fcn(features: Features, num_classes: int, *, stride: int) -> Any:
    """Class scores of P5, refined by those of P4 and P3 down to `stride`.

    Upsampling starts as bilinear interpolation and is learnt, as in the paper. Unlike
    there, maps are padded to size rather than cropped by an offset, and the two layers
    before the scores have 256 channels instead of 4096: with those, `fcn_8` on a
    ResNet-50 would hold 451 million parameters.

    Args:
        stride: of the finest skip: 32 (FCN-32), 16 or 8.

    Reference: Long, Shelhamer and Darrell 2015, "Fully Convolutional Networks for
    Semantic Segmentation".
    """
    x = conv_bn_relu(features[5], _WIDTH, name="fc6")
    x = keras.layers.Dropout(0.2, name="fc6_drop")(x)
    x = conv_bn_relu(x, _WIDTH, 1, name="fc7")
    logits, level = classify(x, num_classes, name="score5"), 5
    while 2**level > stride:
        finer = level - 1
        logits = features.learnt_upsample(logits, level, finer, name=f"score{level}_up")
        skip = classify(features[finer], num_classes, name=f"score{finer}")
        logits = keras.layers.Add(name=f"score{finer}_add")([logits, skip])
        level = finer
    return features.learnt_upsample(logits, level, 0, name="head_up")


def build_segnet(
    features: Features, num_classes: int, *, indices: bool = True, dropout: float = 0.0
) -> Any:
    """Mirror the encoder: unpool and convolve, level by level, to the image's size.

    Args:
        indices: put values back where the encoder's pooling took the maximum from;
            otherwise interpolate, which any encoder allows.
        dropout: rate after the three deepest levels; kept on while sampling.

    Reference: Badrinarayanan, Kendall and Cipolla 2017, "SegNet: A Deep Convolutional
    Encoder-Decoder Architecture for Image Segmentation"; dropout after Kendall,
    Badrinarayanan and Cipolla 2017, "Bayesian SegNet", arXiv:1511.02680.
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
