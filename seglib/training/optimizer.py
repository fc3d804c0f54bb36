"""The optimizer: AdamW or SGD, with a learning rate of its own for the encoder."""

from collections.abc import Collection
from typing import Any

import keras
import numpy as np

from seglib.config import TrainConfig
from seglib.errors import UsageError


def build_optimizer(
    config: TrainConfig,
    network: keras.Model,
    *,
    parts: int = 1,
    scales_loss: bool = False,
) -> keras.optimizers.Optimizer:
    """The optimizer of a network, with its variables.

    (Variables that appear while a graph is traced have it traced a second time.)

    Args:
        config: optimizer, momentum, learning_rate, encoder_learning_rate, weight_decay
            and ema_decay.
        network: its trainable variables are what the optimizer updates; norms and
            biases do not decay.
        parts: calls whose gradients are averaged for one update.
        scales_loss: as float16 needs it. The scale is halved, and the update left out,
            where a gradient is not finite; after 2,000 updates it is doubled.

    Raises:
        UsageError: `encoder_learning_rate` for a network without an encoder.
    """
    slower = set()
    if config.encoder_learning_rate != 1:
        slower = {weight.path for weight in encoder_of(network).trainable_variables}
    options: dict[str, Any] = {
        "learning_rate": config.learning_rate,
        "weight_decay": config.weight_decay,
        "gradient_accumulation_steps": parts if parts > 1 else None,
    }
    if config.ema_decay:
        options |= {"use_ema": True, "ema_momentum": config.ema_decay}
    optimizer: keras.optimizers.Optimizer
    if config.optimizer == "sgd":
        options["momentum"] = config.momentum
        optimizer = TwoRateSGD(slower, config.encoder_learning_rate, **options)
    else:
        optimizer = TwoRateAdamW(slower, config.encoder_learning_rate, **options)
    # Norms and biases carry no capacity; decaying them only slows the statistics.
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(network.trainable_variables)
    for variable, average in _averages(optimizer):
        average.assign(variable)  # Keras begins at 0 where gradients are accumulated
    if scales_loss:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(network.trainable_variables)
    return optimizer


def averaged_weights(
    optimizer: keras.optimizers.Optimizer, network: keras.Model
) -> list[np.ndarray]:
    """The weights of a network, in place of which their moving averages come.

    Statistics of batch normalisation, and weights that do not learn, are as they are.

    Reference: Polyak and Juditsky 1992, "Acceleration of Stochastic Approximation by
    Averaging"; here with exponential weights, as `ema_decay` says.
    """
    averages = {variable.path: average for variable, average in _averages(optimizer)}
    chosen = [averages.get(weight.path, weight) for weight in network.weights]
    return [keras.ops.convert_to_numpy(weight) for weight in chosen]


def _averages(optimizer: keras.optimizers.Optimizer) -> list[tuple[Any, Any]]:
    """Each variable with its moving average; empty without `ema_decay`."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # if it scales losses
    if not optimizer.use_ema:
        return []
    averages = optimizer._model_variables_moving_average  # noqa: SLF001 - no public one
    return list(zip(optimizer._trainable_variables, averages, strict=True))  # noqa: SLF001


def encoder_of(network: keras.Model) -> keras.Model:
    """The layer named `encoder`: the part of a network that may be pretrained.

    Raises:
        UsageError: a network of the user's own layers has none.
    """
    layers = list(network.layers)
    for layer in layers:
        if layer.name == "encoder":
            return layer
        if isinstance(layer, keras.Model):  # a network of several inputs has one inside
            layers.extend(layer.layers)
    raise UsageError(
        "`freeze_epochs` and `encoder_learning_rate` need a network with a layer "
        f"named `encoder`. Received: {', '.join(x.name for x in network.layers)}."
    )


class _TwoRates:
    """Smaller steps for some variables.

    (Scaling their gradients would do nothing to Adam, which divides by their size.)

    Args:
        slower: paths of these variables.
        factor: of their learning rate.

    Reference: Howard and Ruder 2018, "Universal Language Model Fine-tuning for Text
    Classification" (learning rates that differ between layers).
    """

    _trainable_variables: list[Any]
    _get_variable_index: Any

    def __init__(
        self, slower: Collection[str] = (), factor: float = 1.0, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self._slower, self._factor = slower, factor

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        # The backend may pass its own variable, which has no path.
        known = self._trainable_variables[self._get_variable_index(variable)]
        if known.path in self._slower:
            learning_rate = learning_rate * self._factor
        super().update_step(gradient, variable, learning_rate)  # type: ignore[misc]


class TwoRateAdamW(_TwoRates, keras.optimizers.AdamW):
    """Keras's AdamW, with one operation for the update of a variable in place of 27.

    Reference: Loshchilov and Hutter 2019, "Decoupled Weight Decay", arXiv:1711.05101.
    """

    def _backend_update_step(
        self, grads: Any, trainable_variables: Any, learning_rate: Any
    ) -> None:
        ops, step = keras.ops, keras.ops.cast(self.iterations + 1, "float64")
        betas = [ops.cast(beta, "float64") for beta in (self.beta_1, self.beta_2)]
        common = [learning_rate, learning_rate * self._factor]
        common += [ops.power(beta, step) for beta in betas]
        # All of them reach `update_step` in place of the rate.
        super()._backend_update_step(grads, trainable_variables, common)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        import tensorflow as tf

        rate, slow_rate, *powers = (tf.cast(x, variable.dtype) for x in learning_rate)
        index = self._get_variable_index(variable)
        is_slow = self._trainable_variables[index].path in self._slower
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=powers[0],
            beta2_power=powers[1],
            lr=slow_rate if is_slow else rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.cast(tf.convert_to_tensor(gradient), variable.dtype),
        )


class TwoRateSGD(_TwoRates, keras.optimizers.SGD):
    """Stochastic gradient descent with momentum; its weight decay is decoupled, too."""
