"""What pixels each family of encoders was trained on."""

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

    def for_channels(self, channels: int) -> Self:
        """The same for grey, RGBA or more: the average of the three for each."""
        if channels == len(self.mean):
            return self
        mean = sum(self.mean) / len(self.mean)
        scale = sum(self.scale) / len(self.scale)
        return type(self)((mean,) * channels, (scale,) * channels)


# The names are those of Keras's `preprocess_input` modes, where it has one.
CAFFE = Normalization((103.939, 116.779, 123.68), (1.0, 1.0, 1.0), "bgr")
TORCH = Normalization(
    (0.485 * 255, 0.456 * 255, 0.406 * 255), (0.229 * 255, 0.224 * 255, 0.225 * 255)
)
PLUS_MINUS_ONE = Normalization((127.5,) * 3, (127.5,) * 3)  # Keras: "tf"
HALVES = Normalization((128.0,) * 3, (128.0,) * 3)
EFFICIENTNET_LITE = Normalization((127.0,) * 3, (128.0,) * 3)
SPREAD = Normalization((127.5,) * 3, (64.0,) * 3)  # of ours: about unit variance
