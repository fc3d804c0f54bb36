"""Building blocks that the architectures share."""

from typing import Any

import keras

# Statistics of a few hundred steps, not of thousands: with Keras's default of 0.99 a
# short training validates on stale averages (its loss falls, its mIoU does not).
BATCH_NORM_MOMENTUM = 0.95


def conv_bn_relu(
    x: Any,
    filters: int,
    kernel_size: int = 3,
    *,
    strides: int = 1,
    dilation: int = 1,
    name: str,
) -> Any:
    """Convolution without bias, batch normalisation, ReLU.

    Returns:
        A Keras tensor (N, H / stride, W / stride, filters).
    """
    x = conv_bn(x, filters, kernel_size, strides=strides, dilation=dilation, name=name)
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def conv_bn(
    x: Any,
    filters: int,
    kernel_size: int,
    *,
    strides: int = 1,
    dilation: int = 1,
    name: str,
) -> Any:
    """Convolution without bias, batch normalisation; shapes as `conv_bn_relu`."""
    x = keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        dilation_rate=dilation,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return batch_norm(x, name=f"{name}_bn")


def separable_conv_bn_relu(
    x: Any, filters: int, *, dilation: int = 1, name: str
) -> Any:
    """A depthwise 3×3 and a pointwise convolution, each with normalisation and ReLU.

    Reference: Chollet 2017, "Xception", arXiv:1610.02357.
    """
    x = keras.layers.DepthwiseConv2D(
        3,
        dilation_rate=dilation,
        padding="same",
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}_depthwise",
    )(x)
    x = batch_norm(x, name=f"{name}_depthwise_bn")
    x = keras.layers.ReLU(name=f"{name}_depthwise_relu")(x)
    return conv_bn_relu(x, filters, 1, name=name)


def batch_norm(x: Any, *, name: str, epsilon: float = 1e-3) -> Any:
    """Batch normalisation with fast statistics (`BATCH_NORM_MOMENTUM`)."""
    return keras.layers.BatchNormalization(
        momentum=BATCH_NORM_MOMENTUM, epsilon=epsilon, name=name
    )(x)


def classify(
    x: Any, num_classes: int, *, kernel_size: int = 1, name: str = "head"
) -> Any:
    """Logits of each cell by a convolution: (N, H, W, num_classes)."""
    return keras.layers.Conv2D(num_classes, kernel_size, padding="same", name=name)(x)


@keras.saving.register_keras_serializable("seglib")
class Channels(keras.layers.Layer):
    """Some channels of an image: (N, H, W, C) → (N, H, W, count), from `start`."""

    def __init__(self, start: int, count: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.start, self.count = start, count

    def call(self, x: Any) -> Any:
        return x[..., self.start : self.start + self.count]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "start": self.start, "count": self.count}


def _by_channel(numbers: tuple[float, ...]) -> Any:
    """One number if all are equal, which is much faster than one a channel."""
    if len(set(numbers)) == 1:
        return numbers[0]
    return keras.ops.array(numbers, "float32")


@keras.saving.register_keras_serializable("seglib")
class Normalize(keras.layers.Layer):
    """Normalises pixels 0 … 255 for an encoder: `(x - mean) / scale`.

    Input and output: (N, H, W, C); computed in float32.

    Args:
        mean, scale: one number a channel, in the output's order.
        reverse: turn RGB into BGR first.
    """

    def __init__(
        self,
        mean: tuple[float, ...],
        scale: tuple[float, ...],
        *,
        reverse: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.mean, self.scale, self.reverse = tuple(mean), tuple(scale), reverse

    def call(self, x: Any) -> Any:
        x = keras.ops.cast(x, "float32")
        if self.reverse:
            x = keras.ops.flip(x, axis=-1)
        factors = tuple(1 / scale for scale in self.scale)
        return (x - _by_channel(self.mean)) * _by_channel(factors)

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor(x.shape, "float32")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "mean": self.mean,
            "scale": self.scale,
            "reverse": self.reverse,
        }
