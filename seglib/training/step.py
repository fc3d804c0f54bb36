"""One training step, compiled: logits, loss, gradients, update.

The loss is a function of sums over the whole batch. A process adds what the others'
sums are as a constant; so the gradient that it computes is its part of the batch's, and
the sum of these parts over the processes is the whole.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from seglib.distributed.process_group import ProcessGroup
from seglib.evaluation.metrics import MeanIoU
from seglib.training.losses import SegmentationLoss


class StepResult(NamedTuple):
    """The outcome of a step, of the whole batch and before the step."""

    loss: float
    confusion: np.ndarray  # int64 (num_classes, num_classes), pixels
    learning_rate: float


# images (N, H, W, C), masks (N, H, W), learning rate → loss, confusion matrix
Step = Callable[[Any, Any, Any], tuple[Any, Any]]


def compiled_step(
    trainee: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    *,
    loss: SegmentationLoss,
    metric: MeanIoU,
    group: ProcessGroup,
    xla: bool,
    clip_norm: float = 0.0,
    auxiliary_weight: float = 0.0,
) -> Step:
    """Build the function of a training step; its first call traces and compiles it.

    Args:
        trainee: a network, or one that adds losses of its own: means over images.
        optimizer: built for the trainable variables; it may scale the loss.
        loss: on the masks.
        metric: its `count` gives the confusion matrix.
        group: the processes that take the step together.
        xla: compile by XLA.
        clip_norm: largest norm of all gradients together; 0: any.
        auxiliary_weight: of the mean loss of the trainee's further logits.

    Returns:
        A function of this process's part of a batch and the learning rate. It gives the
        loss and the confusion matrix of the whole batch before the step, as tensors:
        on a GPU it returns before they are computed.
    """
    import tensorflow as tf

    def differentiate(images: Any, masks: Any) -> list[Any]:
        with tf.GradientTape() as tape:
            logits, *auxiliary = keras.tree.flatten(trainee(images, training=True))
            own = [loss.sums(masks, each) for each in (logits, *auxiliary)]
            flat = keras.tree.flatten(own)
            whole = [
                part + tf.stop_gradient(total - part)
                for part, total in zip(flat, group.sum_tensors(flat), strict=True)
            ]
            sums = keras.tree.pack_sequence_as(own, whole)
            value, *inner = [loss.value(each) for each in sums]
            if inner:
                value += auxiliary_weight * tf.add_n(inner) / len(inner)
            others = tf.add_n([*trainee.losses, 0.0]) / group.count
            objective = optimizer.scale_loss(value + others)
        gradients = tape.gradient(objective, trainee.trainable_variables)
        counts = metric.count(masks, logits)
        others, *summed = group.sum_tensors([others, counts, *gradients])
        return [value + others, *summed]

    @tf.function(jit_compile=xla, autograph=False, reduce_retracing=True)
    def step(images: Any, masks: Any, learning_rate: Any) -> tuple[Any, Any]:
        value, counts, *gradients = group.run(differentiate, images, masks)
        # Keras would trace a schedule object anew for each weight of the network.
        optimizer.learning_rate.assign(learning_rate)
        if clip_norm:
            gradients = clipped(gradients, optimizer.scale_loss(clip_norm))
        optimizer.apply(gradients, trainee.trainable_variables)
        return value, counts

    return step


def clipped(gradients: Sequence[Any], norm: Any) -> list[Any]:
    """Scale gradients so that their norm, all taken as one vector, is this at most.

    (Keras's own wants them all of one type.)

    Reference: Pascanu, Mikolov and Bengio 2013, "On the difficulty of training
    recurrent neural networks", arXiv:1211.5063.
    """
    squares = [
        keras.ops.sum(keras.ops.square(keras.ops.cast(gradient, "float32")))
        for gradient in gradients
        if gradient is not None
    ]
    length = keras.ops.sqrt(keras.ops.sum(keras.ops.stack(squares)))
    scale = norm / keras.ops.maximum(length, norm)
    return [
        gradient
        if gradient is None
        else gradient * keras.ops.cast(scale, gradient.dtype)
        for gradient in gradients
    ]
