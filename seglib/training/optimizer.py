"""AdamW with a rate of its own for the encoder, and how the rate falls."""

import math
from typing import Any

import keras

from seglib.config import TrainConfig
from seglib.distributed.collectives import in_several_processes, sum_of_replicas
from seglib.errors import UsageError


def build_optimizer(
    config: TrainConfig, network: keras.Model
) -> keras.optimizers.Optimizer:
    """The optimizer of a network, built.

    (Variables that appear while a graph is traced have it traced a second time.)
    """
    slower = set()
    if config.encoder_learning_rate != 1:
        slower = {weight.path for weight in encoder_of(network).trainable_variables}
    optimizer = TwoRateAdamW(
        slower,
        config.encoder_learning_rate,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
    )
    # Norms and biases carry no capacity; decaying them only slows the statistics.
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer.build(network.trainable_variables)
    return optimizer


def encoder_of(network: keras.Model) -> keras.Model:
    """The part of a network that may be pretrained.

    Raises:
        UsageError: a network of one's own layers without one.
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


class TwoRateAdamW(keras.optimizers.AdamW):
    """AdamW that takes smaller steps, by `factor`, for some variables.

    (Scaling their gradients would do nothing: Adam divides by their size.)
    """

    def __init__(self, slower: set[str], factor: float, **kwargs: Any):
        super().__init__(**kwargs)
        self._slower, self._factor = slower, factor

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        # The backend may hand over its own variable, which knows no path.
        known = self._trainable_variables[self._get_variable_index(variable)]
        if known.path in self._slower:
            learning_rate = learning_rate * self._factor
        super().update_step(gradient, variable, learning_rate)

    def _backend_update_step(
        self, grads: list[Any], trainable_variables: list[Any], learning_rate: Any
    ) -> None:
        # Keras's own way wants the strategy's variables. In several processes each has
        # plain ones, and the same sum makes the same step of all of them.
        if in_several_processes():
            summed = sum_of_replicas(list(grads))
            for gradient, variable in zip(summed, trainable_variables, strict=True):
                self.update_step(gradient, variable, learning_rate)
        else:
            super()._backend_update_step(grads, trainable_variables, learning_rate)

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        if not in_several_processes():
            super()._apply_weight_decay(variables)
            return
        for variable in variables:
            if self._use_weight_decay(variable):
                rate = keras.ops.cast(self.learning_rate, variable.dtype)
                variable.assign(variable - variable * self.weight_decay * rate)


def learning_rate_at(step: int, total_steps: int, config: TrainConfig) -> float:
    """Linear warm-up, then cosine decay to 1 % of the peak at the last step.

    Example:
        >>> config = TrainConfig(learning_rate=1.0, warmup_steps=10)
        >>> [round(learning_rate_at(s, 110, config), 3) for s in (0, 4, 10, 59, 109)]
        [0.1, 0.5, 1.0, 0.513, 0.01]
    """
    warmup = min(config.warmup_steps, total_steps // 10)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, total_steps - warmup - 1)
    cosine = (1 + math.cos(math.pi * progress)) / 2
    return config.learning_rate * (0.01 + 0.99 * cosine)
