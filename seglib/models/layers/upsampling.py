"""Layers that resize maps and keep the position of every value."""

import math
from typing import Any

import keras

from seglib.hardware import has_gpu


@keras.saving.register_keras_serializable("seglib")
class Upsample(keras.layers.Layer):
    """Bilinear enlargement by a whole factor, for images of any size.

    Input: (N, H, W, C); output: (N, factor · H, factor · W, C), same dtype. Output
    pixel j takes the value at `(j - offset) / factor` of the input; beyond its edge
    the last value is repeated.

    Args:
        offset: output pixel on which input pixel 0 lies. Default: (factor - 1) / 2,
            where an input pixel covers `factor` output pixels. Else a whole number
            below the factor.
    """

    def __init__(self, factor: int, offset: float | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.factor = factor
        self.offset = (factor - 1) / 2 if offset is None else offset
        centred = self.offset == (factor - 1) / 2
        if not centred and self.offset not in range(factor):
            raise ValueError(
                f"`offset` must be {(factor - 1) / 2} or a whole number below "
                f"factor={factor}. Received: offset={offset}."
            )

    def call(self, x: Any, *, training: bool = False) -> Any:
        _, height, width, _ = keras.ops.shape(x)
        if training and keras.backend.backend() == "tensorflow" and not has_gpu():
            return _scale_and_translate(x, self.factor, self.offset)
        if self.offset == (self.factor - 1) / 2:
            return resize_bilinear(x, height * self.factor, width * self.factor)
        if keras.backend.backend() == "tensorflow":
            return _resize_from(x, self.factor, int(self.offset))
        return _interleave(_interleave(x, 1, self), 2, self)

    def compute_output_spec(self, x: Any, **_: Any) -> Any:
        batch, height, width, channels = x.shape
        shape = (batch, _times(height, self.factor), _times(width, self.factor))
        return keras.KerasTensor((*shape, channels), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor, "offset": self.offset}


@keras.saving.register_keras_serializable("seglib")
class ResizeLike(keras.layers.Layer):
    """Stretches its first input, bilinearly, to the size of its second.

    Inputs: (N, H, W, C) and (N, h, w, c); output: (N, h, w, C).
    """

    def call(self, x: Any, reference: Any) -> Any:
        _, height, width, _ = keras.ops.shape(reference)
        return resize_bilinear(x, height, width)

    def compute_output_spec(self, x: Any, reference: Any) -> Any:
        shape = (x.shape[0], reference.shape[1], reference.shape[2], x.shape[3])
        return keras.KerasTensor(shape, self.compute_dtype)


@keras.saving.register_keras_serializable("seglib")
class LearntUpsample(keras.layers.Conv2DTranspose):
    """A transposed convolution that starts as `Upsample` and is learnt from there.

    Unlike there, values beyond the edge count as zero.

    Reference: Long, Shelhamer and Darrell 2015, "Fully Convolutional Networks for
    Semantic Segmentation", arXiv:1411.4038.
    """

    def __init__(self, filters: int, factor: int, offset: float, **kwargs: Any):
        # A kernel of even size is centred between two pixels, of odd size on one.
        size = 2 * factor - 1 if float(offset).is_integer() else 2 * factor
        for fixed in ("kernel_size", "strides", "padding", "use_bias"):
            kwargs.pop(fixed, None)
        kwargs.setdefault("kernel_initializer", BilinearInitializer())
        super().__init__(
            filters, size, strides=factor, padding="valid", use_bias=False, **kwargs
        )
        self.factor, self.offset = factor, offset
        self._start = int((size - 1) / 2 - offset)

    def call(self, x: Any) -> Any:
        _, height, width, _ = keras.ops.shape(x)
        bottom = self._start + height * self.factor
        right = self._start + width * self.factor
        return super().call(x)[:, self._start : bottom, self._start : right, :]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> Any:
        batch, height, width, _ = input_shape
        size = (_times(height, self.factor), _times(width, self.factor))
        return (batch, *size, self.filters)

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor(self.compute_output_shape(x.shape), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {**config, "factor": self.factor, "offset": self.offset}


@keras.saving.register_keras_serializable("seglib")
class BilinearInitializer(keras.initializers.Initializer):
    """A transposed convolution's kernel that interpolates linearly."""

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        size, _, channels, _ = shape
        factor = (size + 1) // 2
        cells = keras.ops.arange(size, dtype="float32")
        ramp = 1 - keras.ops.abs(cells - (size - 1) / 2) / factor
        kernel = ramp[:, None] * ramp[None, :]
        identity = keras.ops.eye(channels, dtype="float32")
        return keras.ops.cast(kernel[:, :, None, None] * identity, dtype or "float32")


def resize_bilinear(x: Any, height: Any, width: Any) -> Any:
    """Resize (N, H, W, C) to (N, height, width, C), between pixel centres.

    Sizes may be tensors, as in a graph for images of any size. Keeps the dtype.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # keras.ops refuses a size that is a tensor

        # XLA's bilinear resize of bfloat16 is ill-typed: its gradient does not compile.
        cells = tf.cast(x, "float32")
        resized = tf.image.resize(cells, tf.stack([height, width]), "bilinear")
        return tf.cast(resized, x.dtype)
    return keras.ops.image.resize(x, (height, width), interpolation="bilinear")


def _scale_and_translate(x: Any, factor: int, offset: float) -> Any:
    """Upsample in one operation, two to six times as fast with its gradient.

    Only for training on CPUs: it runs neither on GPUs nor in ONNX or LiteRT.
    """
    import tensorflow as tf

    _, height, width, _ = keras.ops.shape(x)
    shift = float(offset - (factor - 1) / 2)
    cells = tf.cast(x, "float32")  # its gradient knows no other type
    if factor > 2 and shift > 0:  # what lies half a cell outside would be zero
        cells = tf.concat([cells[:, :1], cells], axis=1)
        cells = tf.concat([cells[:, :, :1], cells], axis=2)
        shift -= factor
    elif factor > 2 and shift < 0:
        cells = tf.concat([cells, cells[:, -1:]], axis=1)
        cells = tf.concat([cells, cells[:, :, -1:]], axis=2)
    resized = tf.raw_ops.ScaleAndTranslate(
        images=cells,
        size=tf.stack([height * factor, width * factor]),
        scale=tf.constant([factor, factor], "float32"),
        translation=tf.constant([shift, shift], "float32"),
        kernel_type="triangle",
        antialias=False,
    )
    return tf.cast(resized, x.dtype)


def _resize_from(x: Any, factor: int, offset: int) -> Any:
    """TensorFlow's resize that samples at j / factor, moved by `offset` pixels."""
    import tensorflow as tf

    _, height, width, _ = keras.ops.shape(x)
    start = 0
    if offset:
        # One more cell in front, to interpolate the first pixels from.
        x = tf.concat([x[:, :1], x], axis=1)
        x = tf.concat([x[:, :, :1], x], axis=2)
        start = factor - offset
    _, rows, columns, _ = keras.ops.shape(x)
    resized = tf.raw_ops.ResizeBilinear(
        images=tf.cast(x, "float32"),  # as in `resize_bilinear`
        size=tf.stack([rows * factor, columns * factor]),
        align_corners=False,
        half_pixel_centers=False,
    )
    bottom, right = start + height * factor, start + width * factor
    return tf.cast(resized[:, start:bottom, start:right, :], x.dtype)


def _interleave(x: Any, axis: int, layer: Upsample) -> Any:
    """Upsample along one axis on any backend: compute each phase, then interleave."""
    ops, factor = keras.ops, layer.factor
    first = ops.take(x, [0], axis=axis)
    size = ops.shape(x)[axis]
    last = ops.take(x, [size - 1], axis=axis)
    around = ops.concatenate([first, x, last], axis=axis)  # cell i is at i + 1
    phases = []
    for phase in range(factor):
        position = (phase - layer.offset) / factor  # of the first output, in cells
        cell = math.floor(position)
        share = position - cell
        left = _window(around, axis, cell + 1, size)
        right = _window(around, axis, cell + 2, size)
        phases.append((1 - share) * left + share * right)
    shape = list(ops.shape(x))
    shape[axis] = size * factor
    return ops.reshape(ops.stack(phases, axis=axis + 1), shape)


def _window(x: Any, axis: int, start: int, size: Any) -> Any:
    index = [slice(None)] * 4
    index[axis] = slice(start, start + size)
    return x[tuple(index)]


def _times(size: int | None, factor: int) -> int | None:
    return None if size is None else size * factor
