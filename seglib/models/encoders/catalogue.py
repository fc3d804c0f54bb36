"""The encoders, by name: an image in, maps {"P0" … "P5"} at stride 2**level out."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras

from seglib.models.encoders import efficientnet_lite, mix_transformer
from seglib.models.encoders import keras_applications as keras_encoders
from seglib.models.encoders import small as small_encoders
from seglib.models.encoders.normalization import (
    CAFFE,
    EFFICIENTNET_LITE,
    HALVES,
    PLUS_MINUS_ONE,
    SPREAD,
    TORCH,
    Normalization,
)
from seglib.models.features import Features

# Where cell 0 of each level lies in the image (see `Features`).
CENTRED = {f"P{level}": (2**level - 1) / 2 for level in range(6)}
ON_FIRST = {f"P{level}": 0.0 for level in range(6)}
ON_LAST = {f"P{level}": 2.0**level - 1 for level in range(6)}
_ALL, _FROM_4 = (0, 1, 2, 3, 4, 5), (2, 3, 4, 5)  # levels
# 3×3 pooling with padding (1, 1) first, then average pooling of 2×2.
_DENSENET = {"P1": 0.0, "P2": 0.0, "P3": 2.0, "P4": 6.0, "P5": 14.0}


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """How to build an encoder, and its normalisation.

    `build(channels)` returns a model from a normalised image (N, H, W, channels), H
    and W multiples of `stride`, to its maps by name.
    """

    build: Callable[[int], keras.Model]
    normalization: Normalization
    offsets: dict[str, float]
    levels: tuple[int, ...] = (1, 2, 3, 4, 5)
    pools: bool = False  # by 2×2 maxima, whose places SegNet remembers
    # Sets the weights from "imagenet" or from a file.
    load: Callable[[keras.Model, str | Path], None] | None = None
    needs_download: bool = False

    @property
    def stride(self) -> int:
        """Of the deepest map."""
        return 2 ** self.levels[-1]

    def features(self, model: keras.Model, x: Any) -> Features:
        """Apply the encoder's model to a normalised image."""
        maps = model(x)
        return Features(maps, {name: self.offsets[name] for name in maps})


def _small(name: str, **options: Any) -> Encoder:
    return Encoder(
        build=partial(small_encoders.build, name), normalization=SPREAD, **options
    )


def _lite(variant: str) -> Encoder:
    return Encoder(
        build=lambda channels: efficientnet_lite.build(variant, channels),
        normalization=EFFICIENTNET_LITE,
        offsets=ON_LAST,
        load=lambda model, source: efficientnet_lite.load(model, variant, source),
    )


def _keras(
    name: str,
    normalization: Normalization,
    offsets: dict[str, float],
    **options: Any,
) -> Encoder:
    return Encoder(
        build=partial(keras_encoders.build, name),
        normalization=normalization,
        offsets=offsets,
        load=partial(keras_encoders.load, name),
        needs_download=True,
        **options,
    )


ENCODERS: dict[str, Encoder] = {
    "compact": _small("compact", offsets=ON_LAST),
    "compact_small": _small("compact_small", offsets=ON_LAST),
    "mini": _small("mini", offsets=CENTRED, pools=True, levels=(0, 1, 2)),
    "plain": _small("plain", offsets=CENTRED, pools=True, levels=_ALL),
    "vanilla": _small("vanilla", offsets=CENTRED, pools=True, levels=_ALL),
    "efficientnet_lite0": _lite("lite0"),
    "efficientnet_lite1": _lite("lite1"),
    "efficientnet_lite2": _lite("lite2"),
    "vgg16": _keras("vgg16", CAFFE, CENTRED, pools=True, levels=_ALL),
    "vgg19": _keras("vgg19", CAFFE, CENTRED, pools=True, levels=_ALL),
    "resnet50": _keras("resnet50", CAFFE, ON_FIRST),
    "resnet101": _keras("resnet101", CAFFE, ON_FIRST),
    "resnet152": _keras("resnet152", CAFFE, ON_FIRST),
    "resnet50v2": _keras("resnet50v2", PLUS_MINUS_ONE, ON_FIRST),
    "resnet101v2": _keras("resnet101v2", PLUS_MINUS_ONE, ON_FIRST),
    "resnet152v2": _keras("resnet152v2", PLUS_MINUS_ONE, ON_FIRST),
    "mobilenet": _keras("mobilenet", PLUS_MINUS_ONE, ON_LAST),
    "mobilenetv2": _keras("mobilenetv2", PLUS_MINUS_ONE, ON_LAST),
    "mobilenetv3_small": _keras("mobilenetv3_small", PLUS_MINUS_ONE, ON_LAST),
    "mobilenetv3_large": _keras("mobilenetv3_large", PLUS_MINUS_ONE, ON_LAST),
    **{
        f"efficientnetb{n}": _keras(f"efficientnetb{n}", TORCH, ON_LAST)
        for n in range(8)
    },
    **{
        f"efficientnetv2b{n}": _keras(f"efficientnetv2b{n}", TORCH, ON_LAST)
        for n in range(4)
    },
    **{
        f"efficientnetv2{size}": _keras(f"efficientnetv2{size}", HALVES, ON_LAST)
        for size in "sml"
    },
    "densenet121": _keras("densenet121", TORCH, _DENSENET),
    "densenet169": _keras("densenet169", TORCH, _DENSENET),
    "densenet201": _keras("densenet201", TORCH, _DENSENET),
    "convnext_tiny": _keras("convnext_tiny", TORCH, CENTRED, levels=_FROM_4),
    "convnext_small": _keras("convnext_small", TORCH, CENTRED, levels=_FROM_4),
    "convnext_base": _keras("convnext_base", TORCH, CENTRED, levels=_FROM_4),
    **{
        f"mit_b{n}": Encoder(
            build=partial(mix_transformer.build, f"mit_b{n}"),
            normalization=TORCH,
            offsets=ON_FIRST,
            levels=_FROM_4,
        )
        for n in range(3)
    },
}
