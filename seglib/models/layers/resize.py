"""Bilinear resizing, also in graphs of unknown sizes."""

from typing import Any

import keras


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
