"""Sums over the processes inside of a TensorFlow graph, and statistics from them."""

import functools
from collections.abc import Sequence
from typing import Any

import keras


def share_batch_statistics(network: keras.Model) -> None:
    """Let batch normalisation take its statistics from the parts of all processes.

    Each layer needs one sum over the processes, and its gradient another. (Keras's own
    `synchronized` needs three, and loses digits to squares of values far from zero.)

    Reference: Ioffe and Szegedy 2015, "Batch Normalization: Accelerating Deep Network
    Training by Reducing Internal Covariate Shift".
    """
    for layer in network._flatten_layers():  # noqa: SLF001 - Keras has no public one
        if isinstance(layer, keras.layers.BatchNormalization):
            layer._moments = functools.partial(_moments, layer)  # noqa: SLF001


def _moments(
    layer: keras.layers.BatchNormalization, inputs: Any, _mask: Any
) -> tuple[Any, Any]:
    """Mean and variance over all processes, which have equally many values.

    The variance is that within the parts plus that of their means. Both are taken
    about the moving mean, a point nearby that is the same in all processes.
    """
    axes = layer._reduction_axes  # noqa: SLF001
    mean, variance = keras.ops.moments(inputs, axes)
    context = _replica_context()
    if context is None:
        return mean, variance
    import tensorflow as tf

    nearby = keras.ops.stop_gradient(keras.ops.cast(layer.moving_mean, mean.dtype))
    offset = mean - nearby
    own = keras.ops.stack([offset, variance + keras.ops.square(offset)])
    offset, square = keras.ops.unstack(
        context.all_reduce(tf.distribute.ReduceOp.MEAN, own)
    )
    return nearby + offset, keras.ops.maximum(square - keras.ops.square(offset), 0)


def sum_in_graph(values: Sequence[Any]) -> list[Any]:
    """Sum tensors over the processes, those of one type at once; None stays None."""
    import tensorflow as tf

    context = _replica_context()
    given = {i: tf.convert_to_tensor(v) for i, v in enumerate(values) if v is not None}
    # NCCL knows no bfloat16, and takes it for float32.
    wide = {
        i: tf.stop_gradient(tf.cast(v, tf.float32) if v.dtype.size == 2 else v)
        for i, v in given.items()
    }
    summed: list[Any] = [None] * len(values)
    for dtype in dict.fromkeys(value.dtype for value in wide.values()):
        alike = [i for i, value in wide.items() if value.dtype == dtype]
        sums = context.all_reduce(tf.distribute.ReduceOp.SUM, [wide[i] for i in alike])
        for i, value in zip(alike, sums, strict=True):
            summed[i] = tf.cast(value, given[i].dtype)
    return summed


def _replica_context() -> Any:
    """TensorFlow's, inside of one of several replicas; else None."""
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    several = context is not None and context.num_replicas_in_sync > 1
    return context if several else None
