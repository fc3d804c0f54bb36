"""Sums over all that share a batch: the devices of a process, or several processes.

Inside of a training step on one device alone each of these gives back what it got.
"""

import functools
from typing import Any

import keras


def sum_of_replicas(value: Any) -> Any:
    """Of a tensor, or a list of them, that each device has its own of.

    No gradient flows through it.
    """
    context = _context()
    if context is None:
        return value
    import tensorflow as tf

    parts = [tf.stop_gradient(part) for part in tf.nest.flatten(value)]
    # NCCL knows no bfloat16, and takes it for float32.
    wide = [tf.cast(p, tf.float32) if p.dtype.size == 2 else p for p in parts]
    summed: dict[int, Any] = {}
    for dtype in dict.fromkeys(part.dtype for part in wide):
        # What is summed at once becomes one tensor.
        alike = [i for i, part in enumerate(wide) if part.dtype == dtype]
        sums = context.all_reduce(tf.distribute.ReduceOp.SUM, [wide[i] for i in alike])
        summed.update(zip(alike, sums, strict=True))
    same = [tf.cast(summed[i], part.dtype) for i, part in enumerate(parts)]
    return tf.nest.pack_sequence_as(value, same)


def sum_of_processes(value: Any) -> Any:
    """The same for what the devices of one process add up themselves.

    That is what metrics keep: TensorFlow sums their variables over the devices of one
    process when they are read, but not over processes.
    """
    return sum_of_replicas(value) if in_several_processes() else value


def as_one_loss(part: Any) -> Any:
    """A device's part of a loss, with the value by which Keras tells the whole loss.

    Keras multiplies what each device has by their number, and takes the average of
    those of its own process. The gradient stays that of the part.
    """
    context = _context()
    if context is None or not in_several_processes():
        return part
    whole = sum_of_replicas(part) / context.num_replicas_in_sync
    return part + keras.ops.stop_gradient(whole - part)


def synchronize(network: keras.Model) -> None:
    """Let batch normalisation take its statistics of the whole batch.

    Each layer needs one sum over the devices, and its gradient another. (Keras's own
    `synchronized` needs three, and loses digits to squares of values far from zero.)
    """
    for layer in network._flatten_layers():  # noqa: SLF001 - Keras has no public one
        if isinstance(layer, keras.layers.BatchNormalization):
            layer._moments = functools.partial(_moments, layer)  # noqa: SLF001


def in_several_processes() -> bool:
    """Whether this is a step that other processes take at the same time."""
    context = _context()
    if context is None:
        return False
    import tensorflow as tf

    return isinstance(context.strategy, tf.distribute.MultiWorkerMirroredStrategy)


def _moments(
    layer: keras.layers.BatchNormalization, inputs: Any, _mask: Any
) -> tuple[Any, Any]:
    """Mean and variance of the values of all devices, which have equally many.

    The variance is that within the devices' parts and that of their means, taken from
    a point nearby, the moving mean, which is everywhere the same.
    """
    axes = layer._reduction_axes  # noqa: SLF001
    mean, variance = keras.ops.moments(inputs, axes)
    context = _context()
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


def _context() -> Any:
    """TensorFlow's, inside of one of several replicas; else None."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    several = context is not None and context.num_replicas_in_sync > 1
    return context if several else None
