"""Encoders that are trained from scratch: small, without weights to load."""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras

from seglib.models.encoders.encoder import ON_LAST, SPREAD, Encoder
from seglib.models.features import CENTRED
from seglib.models.layers.blocks import conv_bn_relu

Maps = dict[str, Any]


def _pooled(x: Any, filters: tuple[int, ...], convolutions: int) -> Maps:
    """Convolutions at each level, halved by 2×2 maximum pooling in between."""
    maps: Maps = {}
    for level, width in enumerate(filters):
        if level:
            x = keras.layers.MaxPooling2D(name=f"pool{level}")(x)
        for index in range(convolutions):
            x = conv_bn_relu(x, width, name=f"encoder{level}{'abc'[index]}")
        maps[f"P{level}"] = x
    return maps


def _vanilla(x: Any) -> Maps:
    """The tutorial's small CNN: one wide convolution a level, pooled after each."""
    maps = _pooled(x, (64, 128, 256, 256, 256), 1)
    maps["P5"] = keras.layers.MaxPooling2D(name="pool5")(maps["P4"])
    return maps


def _compact(x: Any, widths: tuple[int, ...]) -> Maps:
    """Residual blocks from stride 4 on, wide where pixels are few: made for CPUs.

    Dense 3×3 convolutions on small maps use a CPU's matrix units far better than
    depthwise ones on large maps.
    """
    maps: Maps = {}
    maps["P1"] = x = conv_bn_relu(x, widths[0], strides=2, name="stem")
    for level, blocks in ((2, 1), (3, 2), (4, 2), (5, 1)):
        filters = widths[level - 1]
        x = conv_bn_relu(x, filters, strides=2, name=f"encoder{level}_down")
        for block in range(blocks):
            branch = conv_bn_relu(x, filters, name=f"encoder{level}_{block}a")
            branch = conv_bn_relu(branch, filters, name=f"encoder{level}_{block}b")
            x = keras.layers.Add(name=f"encoder{level}_{block}_add")([x, branch])
        maps[f"P{level}"] = x
    return maps


def _encoder(maps_of: Callable[[Any], Maps], **facts: Any) -> Encoder:
    def build(channels: int) -> keras.Model:
        image = keras.Input((None, None, channels), name="image")
        return keras.Model(image, maps_of(image), name="encoder")

    return Encoder(build=build, normalization=SPREAD, **facts)


_POOLS: dict[str, Any] = {"offsets": CENTRED, "pools": True}
_ALL = (0, 1, 2, 3, 4, 5)  # levels
_WIDTHS, _SMALL_WIDTHS = (16, 32, 64, 96, 128), (12, 20, 40, 64, 96)
_PLAIN_FILTERS, _MINI_FILTERS = (16, 32, 64, 128, 256, 256), (32, 64, 128)

ENCODERS = {
    "compact": _encoder(partial(_compact, widths=_WIDTHS), offsets=ON_LAST),
    "compact_small": _encoder(partial(_compact, widths=_SMALL_WIDTHS), offsets=ON_LAST),
    # Three levels only, for small images and coarse classes.
    "mini": _encoder(
        partial(_pooled, filters=_MINI_FILTERS, convolutions=2),
        levels=(0, 1, 2),
        **_POOLS,
    ),
    # Two 3×3 convolutions a level: U-Net's own encoder.
    "plain": _encoder(
        partial(_pooled, filters=_PLAIN_FILTERS, convolutions=2), levels=_ALL, **_POOLS
    ),
    "vanilla": _encoder(_vanilla, levels=_ALL, **_POOLS),
}
