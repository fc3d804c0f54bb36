"""Encoders: an image in, features {"P0" … "P5"} at stride 2**level out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from seglib.errors import UsageError
from seglib.models import efficientnet_lite
from seglib.models.layers import conv_bn_relu

Features = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """How to build an encoder, and which pixels it expects.

    `build(images)` takes the normalised image (N, H, W, C) with H and W multiples of
    32; the network normalises by `(image - mean) / scale`.
    """

    build: Callable[[Any], Features]
    mean: float
    scale: float
    load_imagenet: Callable[[keras.Model], None] | None = None


def load_weights(
    network: keras.Model, encoder: str, weights: str, channels: int
) -> None:
    """Load pretrained weights into the encoder's layers of `network`.

    Raises:
        UsageError: the encoder has none, or was trained on other channels.
    """
    if weights != "imagenet":
        raise UsageError(
            f"Unknown weights: `{weights}`. Expected `imagenet`, or none at all."
        )
    load = ENCODERS[encoder].load_imagenet
    if load is None:
        having = ", ".join(name for name, e in ENCODERS.items() if e.load_imagenet)
        raise UsageError(
            f"The encoder `{encoder}` has no ImageNet weights. These have: {having}."
        )
    if channels != 3:
        raise UsageError(
            f"ImageNet weights expect 3 channels (RGB). Received: channels={channels}. "
            "Leave `weights` out, or convert the images to RGB."
        )
    load(network)


def _build_plain(x: Any) -> Features:
    """Two 3×3 convolutions a level, halved by max pooling: U-Net's own encoder."""
    features: Features = {}
    for level, filters in enumerate((16, 32, 64, 128, 256, 256)):
        if level:
            x = keras.layers.MaxPooling2D(name=f"pool{level}")(x)
        x = conv_bn_relu(x, filters, name=f"encoder{level}a")
        x = conv_bn_relu(x, filters, name=f"encoder{level}b")
        features[f"P{level}"] = x
    return features


def _build_compact(x: Any) -> Features:
    """Residual blocks from stride 4 on, wide where pixels are few: made for CPUs.

    Dense 3×3 convolutions on small maps use a CPU's matrix units far better than
    depthwise ones on large maps.
    """
    features: Features = {}
    features["P1"] = x = conv_bn_relu(x, 16, strides=2, name="stem")
    for level, filters, blocks in ((2, 32, 1), (3, 64, 2), (4, 96, 2), (5, 128, 1)):
        x = conv_bn_relu(x, filters, strides=2, name=f"encoder{level}_down")
        for block in range(blocks):
            branch = conv_bn_relu(x, filters, name=f"encoder{level}_{block}a")
            branch = conv_bn_relu(branch, filters, name=f"encoder{level}_{block}b")
            x = keras.layers.Add(name=f"encoder{level}_{block}_add")([x, branch])
        features[f"P{level}"] = x
    return features


ENCODERS: dict[str, Encoder] = {
    "plain": Encoder(build=_build_plain, mean=127.5, scale=64.0),
    "compact": Encoder(build=_build_compact, mean=127.5, scale=64.0),
    "efficientnet_lite0": efficientnet_lite.encoder("lite0", Encoder),
    "efficientnet_lite1": efficientnet_lite.encoder("lite1", Encoder),
    "efficientnet_lite2": efficientnet_lite.encoder("lite2", Encoder),
}
