"""TensorFlow's fastest kernels for a network's layers, where Keras takes slower ones.

They compute what Keras computes, but for rounding. XLA makes kernels of its own, and
several processes that share a batch share its statistics: neither is for them.
"""

from functools import partial
from typing import Any

import keras

from seglib.hardware import has_gpu

_LEAST_EPSILON = 1.001e-5  # of cuDNN


def use_fast_kernels(network: keras.Model) -> None:
    """Let the training of a network use the kernels that were measured to be fastest.

    Batch normalisation takes one fused kernel in place of Keras's ten operations, and
    depthwise convolutions in bfloat16 compute in float32 on CPUs, where their gradients
    are three times as slow in bfloat16. On two cores a step of `compact` takes 0.74 of
    the time so, and one in bfloat16 0.63 (`python -m benchmarks.training_step`).
    """
    if keras.backend.backend() != "tensorflow":
        return
    for layer in network._flatten_layers():  # noqa: SLF001 - Keras has no public one
        if isinstance(layer, keras.layers.BatchNormalization):
            if layer.epsilon >= _LEAST_EPSILON and not layer.renorm:
                layer.call = partial(_normalise, layer)
        elif (
            isinstance(layer, keras.layers.DepthwiseConv2D)
            and layer.compute_dtype == "bfloat16"
            and not has_gpu()
        ):
            layer.dtype_policy = "float32"


def _normalise(
    layer: keras.layers.BatchNormalization,
    inputs: Any,
    training: bool | None = None,
    mask: Any = None,
) -> Any:
    """The layer's `call`: in training on maps (N, H, W, C) by the fused kernel.

    Reference: Ioffe and Szegedy 2015, "Batch Normalization: Accelerating Deep Network
    Training by Reducing Internal Covariate Shift", arXiv:1502.03167.
    """
    is_map = len(inputs.shape) == 4 and layer.axis in (-1, 3) and mask is None
    if not (training and layer.trainable and is_map):
        return type(layer).call(layer, inputs, training=training, mask=mask)
    import tensorflow as tf

    channels = layer.moving_mean.shape
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=layer.gamma if layer.scale else tf.ones(channels),
        offset=layer.beta if layer.center else tf.zeros(channels),
        mean=tf.constant([], tf.float32),
        variance=tf.constant([], tf.float32),
        epsilon=layer.epsilon,
        is_training=True,
    )
    # The kernel's variance is that of the population, by n - 1; Keras keeps that by n.
    count = tf.cast(tf.size(inputs) // channels[0], tf.float32)
    variance *= (count - 1) / count
    for kept, new in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        kept.assign(kept * layer.momentum + new * (1 - layer.momentum))
    return outputs
