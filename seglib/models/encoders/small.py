"""Encoders that are trained from scratch: small, without weights to load."""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras

from seglib.models.layers.blocks import conv_bn_relu

Maps = dict[str, Any]


def build(name: str, channels: int) -> keras.Model:
    """Build an encoder with random weights.

    Args:
        name: compact, compact_small, mini, plain or vanilla.
        channels: of the image.

    Returns:
        A model from a normalised image float32 (N, H, W, channels) to its maps {"P0" or
        "P1" …}, each (N, H / 2**level, W / 2**level, C).
    """
    image = keras.Input((None, None, channels), name="image")
    return keras.Model(image, _BUILDERS[name](image), name="encoder")


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


def _build_plain(x: Any) -> Maps:
    """Two 3×3 convolutions a level: U-Net's own encoder."""
    return _pooled(x, (16, 32, 64, 128, 256, 256), 2)


def _build_mini(x: Any) -> Maps:
    """Three levels only, for small images and coarse classes."""
    return _pooled(x, (32, 64, 128), 2)


def _build_vanilla(x: Any) -> Maps:
    """The tutorial's small CNN: one wide convolution a level, pooled after each."""
    maps = _pooled(x, (64, 128, 256, 256, 256), 1)
    maps["P5"] = keras.layers.MaxPooling2D(name="pool5")(maps["P4"])
    return maps


def _build_compact(
    x: Any, widths: tuple[int, int, int, int, int] = (16, 32, 64, 96, 128)
) -> Maps:
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


_BUILDERS: dict[str, Callable[[Any], Maps]] = {
    "compact": _build_compact,
    "compact_small": partial(_build_compact, widths=(12, 20, 40, 64, 96)),
    "mini": _build_mini,
    "plain": _build_plain,
    "vanilla": _build_vanilla,
}
