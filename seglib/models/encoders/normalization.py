"""The normalisation of pixels that each family of encoders was trained with."""

from dataclasses import dataclass
from typing import Literal, Self


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
EFFICIENTNET_LITE = Normalization((127.0,) * 3, (128.0,) * 3)
SPREAD = Normalization((127.5,) * 3, (64.0,) * 3)  # of ours: about unit variance
