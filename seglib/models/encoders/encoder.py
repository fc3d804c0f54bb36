"""What an encoder is: how it is built, its pixels, and where its cells lie."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import keras

from seglib.models.features import Features

# Where cell 0 of each level lies in the image (see `Features`).
ON_FIRST = {f"P{level}": 0.0 for level in range(6)}
ON_LAST = {f"P{level}": 2.0**level - 1 for level in range(6)}


@dataclass(frozen=True)
class Normalization:
    """An image 0 … 255 becomes `(image - mean) / scale`, in `channel_order`.

    `mean` and `scale` hold one number for each channel, in that order.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    channel_order: Literal["rgb", "bgr"] = "rgb"

    def for_channels(self, colours: int, channels: int) -> Self:
        """The normalisation of an image of `channels`; the first `colours` are colours.

        RGB keeps its own numbers; every other channel gets the average of the three.
        """
        if colours == channels == len(self.mean):
            return self
        step = 1 if self.channel_order == "rgb" else -1
        return type(self)(
            _widened(self.mean[::step], colours, channels),
            _widened(self.scale[::step], colours, channels),
        )


def _widened(rgb: tuple[float, ...], colours: int, channels: int) -> tuple[float, ...]:
    own = rgb if colours >= len(rgb) else ()
    average = sum(rgb) / len(rgb)
    return (*own, *(average,) * (channels - len(own)))


# The names are those of Keras's `preprocess_input` modes, where it has one.
CAFFE = Normalization((103.939, 116.779, 123.68), (1.0, 1.0, 1.0), "bgr")
TORCH = Normalization(
    (0.485 * 255, 0.456 * 255, 0.406 * 255), (0.229 * 255, 0.224 * 255, 0.225 * 255)
)
PLUS_MINUS_ONE = Normalization((127.5,) * 3, (127.5,) * 3)  # Keras: "tf"
HALVES = Normalization((128.0,) * 3, (128.0,) * 3)
LITE = Normalization((127.0,) * 3, (128.0,) * 3)
SPREAD = Normalization((127.5,) * 3, (64.0,) * 3)  # of ours: about unit variance


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """How to build an encoder, and its normalisation.

    `build(channels)` returns a model with random weights: from a normalised image
    float32 (N, H, W, channels), H and W multiples of `stride`, to its maps {"P1" …},
    each (N, H / 2**level, W / 2**level, C).
    """

    build: Callable[[int], keras.Model]
    normalization: Normalization
    offsets: dict[str, float]
    levels: tuple[int, ...] = (1, 2, 3, 4, 5)
    pools: bool = False  # by 2×2 maxima, whose places SegNet remembers
    # Sets the weights from "imagenet" or from a file.
    load: Callable[[keras.Model, str | Path], None] | None = None
    needs_download: bool = False
    # The normalisation that belongs to weights, where each of them states its own.
    pixels: Callable[[str | Path], Normalization] | None = None
    extra: str = ""  # of seglib, which it needs

    @property
    def stride(self) -> int:
        """Of the deepest map."""
        return 2 ** self.levels[-1]

    def features(self, model: keras.Model, x: Any) -> Features:
        """Apply the encoder's model to a normalised image."""
        maps = model(x)
        return Features(maps, {name: self.offsets[name] for name in maps})
