"""Layers that pool, unpool, pad and crop maps of any size."""

from typing import Any

import keras

from seglib.hardware import has_gpu


@keras.saving.register_keras_serializable("seglib")
class MaxUnpool(keras.layers.Layer):
    """Puts pooled values back to where their 2×2 window had its maximum.

    Inputs: x (N, H/2, W/2, C) and `before`, what was pooled (N, H, W, C); output
    (N, H, W, C), zero elsewhere. Of equal maxima the first in reading order counts.
    Uses plain operations alone, so that every export format supports it.

    Reference: Badrinarayanan, Kendall and Cipolla 2017, "SegNet",
    arXiv:1511.00561.
    """

    def call(self, x: Any, before: Any) -> Any:
        # A tree of comparisons over pairs of rows and halves of channels: that reads
        # and writes runs of memory, where strided slices would gather single values.
        ops = keras.ops
        _, height, width, channels = ops.shape(before)
        pairs = ops.reshape(before, (-1, height // 2, 2, width // 2, 2 * channels))
        top_left, top_right = _halves(pairs[:, :, 0], channels)
        low_left, low_right = _halves(pairs[:, :, 1], channels)
        zero = ops.zeros_like(x)
        is_top = ops.maximum(top_left, top_right) >= ops.maximum(low_left, low_right)
        top = _beside(ops.where(is_top, x, zero), top_left >= top_right, zero)
        low = _beside(ops.where(is_top, zero, x), low_left >= low_right, zero)
        return ops.reshape(ops.stack([top, low], 2), (-1, height, width, channels))

    def compute_output_spec(self, x: Any, before: Any) -> Any:
        return keras.KerasTensor(before.shape, self.compute_dtype)


@keras.saving.register_keras_serializable("seglib")
class RegionPool(keras.layers.Layer):
    """Averages over `bins` × `bins` equal regions, for images of any size.

    Input: (N, H, W, C); output: (N, bins, bins, C). A cell on the border of two
    regions counts in each by its share, so H and W need not divide.
    """

    def __init__(self, bins: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.bins = bins

    def call(self, x: Any) -> Any:
        _, height, width, _ = keras.ops.shape(x)
        x = keras.ops.einsum("bh,nhwc->nbwc", self._shares(height, x.dtype), x)
        return keras.ops.einsum("bw,nhwc->nhbc", self._shares(width, x.dtype), x)

    def compute_output_spec(self, x: Any) -> Any:
        shape = (x.shape[0], self.bins, self.bins, x.shape[3])
        return keras.KerasTensor(shape, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bins": self.bins}

    def _shares(self, size: Any, dtype: Any) -> Any:
        """What part of each region a cell makes up: (bins, size)."""
        ops = keras.ops
        region = ops.cast(size, "float32") / self.bins  # in cells
        cell = ops.arange(size, dtype="float32")[None, :]
        start = ops.arange(self.bins, dtype="float32")[:, None] * region
        common = ops.minimum(cell + 1, start + region) - ops.maximum(cell, start)
        return ops.cast(ops.maximum(common, 0.0) / region, dtype)


@keras.saving.register_keras_serializable("seglib")
class PadToMultiple(keras.layers.Layer):
    """Zero-pads below and right so that height and width divide by `multiple`.

    Input and output: (N, H, W, C).
    """

    def __init__(self, multiple: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.multiple = multiple

    def call(self, x: Any, *, training: bool = False) -> Any:
        ops = keras.ops
        _, height, width, _ = ops.shape(x)
        bottom, right = -height % self.multiple, -width % self.multiple
        if isinstance(bottom, int) and isinstance(right, int) and bottom + right == 0:
            return x
        padded = ops.pad(x, ((0, 0), (0, bottom), (0, right), (0, 0)))
        if not training or not has_gpu():
            return padded
        # XLA would make this padding a part of the convolution that follows, and the
        # gradient of its kernel a convolution with a window as large as the image:
        # 36 of 44 ms a step of `unet` on an H200. It leaves a selection alone.
        row, column = ops.arange(height + bottom), ops.arange(width + right)
        inside = ops.logical_and(row[:, None] < height, column < width)
        return ops.where(inside[:, :, None], padded, 0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> Any:
        batch, height, width, channels = input_shape
        return (batch, self._rounded(height), self._rounded(width), channels)

    def compute_output_spec(self, x: Any, **_: Any) -> Any:
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


def _halves(x: Any, channels: int) -> tuple[Any, Any]:
    return x[..., :channels], x[..., channels:]


def _beside(x: Any, is_left: Any, zero: Any) -> Any:
    """Left where it says so, else right: (…, C) becomes (…, 2 C)."""
    where = keras.ops.where
    return keras.ops.concatenate(
        [where(is_left, x, zero), where(is_left, zero, x)], axis=-1
    )
