"""A training step that several processes take together, each on its part of a batch.

The loss of a batch is Σ w·nll / Σ w over all pixels that count. A process sees some of
them: it weights its own loss with its share of Σ w, and the sum of these parts over the
processes is the loss of the whole batch; the sum of their gradients is its gradient.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

_LEAST_WEIGHT = 1e-6  # of a batch without a pixel that counts

TrainFunction = Callable[[Iterator[Any]], dict[str, Any]]


def shared_train_function(
    trainee: keras.Model, *, loss: Any, metric: Any, strategy: Any
) -> TrainFunction:
    """Build what Keras calls for a step: it takes the next batch of an iterator.

    The gradients are summed within the strategy and applied outside of it, where the
    optimizer behaves as in a single process.

    Args:
        trainee, loss, metric: as for `ProcessGroup.share_steps`. A trainee may add
            losses of its own, which are means over images.
        strategy: a `tf.distribute.MultiWorkerMirroredStrategy` of one device a process.

    Returns:
        A function of an iterator of (images, masks, …) that gives {"loss": scalar}, of
        the whole batch, and sets the metric to the whole batch's counts.
    """
    import tensorflow as tf

    def differentiate(images: Any, masks: Any) -> list[Any]:
        with tf.GradientTape() as tape:
            logits = trainee(images, training=True)
            weight = keras.ops.sum(loss.pixel_weights(masks, logits.shape[-1]))
            total = keras.ops.maximum(_sum(weight), _LEAST_WEIGHT)
            own = loss(masks, logits) * weight / total
            own += sum(trainee.losses) / strategy.num_replicas_in_sync
        gradients = tape.gradient(own, trainee.trainable_variables)
        return _sum_all([own, metric.count(masks, logits), *gradients])

    @tf.function(autograph=False, reduce_retracing=True)
    def step(images: Any, masks: Any) -> Any:
        whole, counts, *gradients = strategy.run(differentiate, args=(images, masks))
        trainee.optimizer.apply(gradients, trainee.trainable_variables)
        metric.confusion.assign(counts)  # as Keras, which resets it before each step
        return whole

    def train_function(batches: Iterator[Any]) -> dict[str, Any]:
        images, masks, *_ = next(batches)
        return {"loss": step(images, masks)}

    return train_function


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


def _sum(value: Any) -> Any:
    """Sum a tensor over the processes; no gradient flows through it."""
    return _sum_all([value])[0]


def _sum_all(values: Sequence[Any]) -> list[Any]:
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
