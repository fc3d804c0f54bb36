"""Building blocks that the architectures share."""

from typing import Any

import keras

from seglib.resize import resize_bilinear

# Statistics of a few hundred steps, not of thousands: with Keras's default of 0.99 a
# short training validates on stale averages (its loss falls, its mIoU does not).
BATCH_NORM_MOMENTUM = 0.95


def conv_bn_relu(
    x: Any, filters: int, kernel_size: int = 3, *, strides: int = 1, name: str
) -> Any:
    """Convolution without bias, batch normalisation, ReLU."""
    x = keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    x = batch_norm(x, name=f"{name}_bn")
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def batch_norm(x: Any, *, name: str, epsilon: float = 1e-3) -> Any:
    """Batch normalisation with statistics that suit short trainings."""
    return keras.layers.BatchNormalization(
        momentum=BATCH_NORM_MOMENTUM, epsilon=epsilon, name=name
    )(x)


def upsample(x: Any, factor: int, *, name: str) -> Any:
    """Enlarge by bilinear interpolation between pixel centres."""
    return Upsample(factor, name=name)(x)


@keras.saving.register_keras_serializable("seglib")
class Upsample(keras.layers.Layer):
    """Bilinear, by a whole factor, for images of any size.

    Input: (N, H, W, C); output: (N, factor · H, factor · W, C), same dtype.
    (Keras's UpSampling2D fails where H and W are unknown until the graph runs.)
    """

    def __init__(self, factor: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x: Any) -> Any:
        _, height, width, _ = keras.ops.shape(x)
        return resize_bilinear(x, height * self.factor, width * self.factor)

    def compute_output_spec(self, x: Any) -> Any:
        batch, height, width, channels = x.shape
        shape = (batch, self._enlarged(height), self._enlarged(width), channels)
        return keras.KerasTensor(shape, self.compute_dtype)

    def _enlarged(self, size: int | None) -> int | None:
        return None if size is None else size * self.factor

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable("seglib")
class PadToMultiple(keras.layers.Layer):
    """Zero-pads below and right so that height and width divide by `multiple`.

    Input and output: (N, H, W, C).
    """

    def __init__(self, multiple: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.multiple = multiple

    def call(self, x: Any) -> Any:
        _, height, width, _ = keras.ops.shape(x)
        bottom, right = -height % self.multiple, -width % self.multiple
        if isinstance(bottom, int) and isinstance(right, int) and bottom + right == 0:
            return x
        return keras.ops.pad(x, ((0, 0), (0, bottom), (0, right), (0, 0)))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> Any:
        batch, height, width, channels = input_shape
        return (batch, self._rounded(height), self._rounded(width), channels)

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor(self.compute_output_shape(x.shape), self.compute_dtype)

    def _rounded(self, size: int | None) -> int | None:
        return None if size is None else size + -size % self.multiple

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "multiple": self.multiple}


@keras.saving.register_keras_serializable("seglib")
class CropLike(keras.layers.Layer):
    """Cuts its first input, below and right, to the size of its second.

    Inputs: (N, H, W, C) and (N, h, w, c); output: (N, h, w, C).
    """

    def call(self, x: Any, reference: Any) -> Any:
        _, height, width, _ = keras.ops.shape(reference)
        return x[:, :height, :width, :]

    def compute_output_spec(self, x: Any, reference: Any) -> Any:
        shape = (x.shape[0], reference.shape[1], reference.shape[2], x.shape[3])
        return keras.KerasTensor(shape, self.compute_dtype)
