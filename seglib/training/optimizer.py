"""AdamW with a learning rate of its own for the encoder, and the schedule."""

import math
from typing import Any

import keras

from seglib.config import TrainConfig
from seglib.errors import UsageError


def build_optimizer(
    config: TrainConfig, network: keras.Model
) -> keras.optimizers.Optimizer:
    """The optimizer of a network, with its variables.

    (Variables that appear while a graph is traced have it traced a second time.)

    Args:
        config: learning_rate, encoder_learning_rate and weight_decay.
        network: its trainable variables are what the optimizer updates; norms and
            biases do not decay.

    Raises:
        UsageError: `encoder_learning_rate` for a network without an encoder.
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


class TwoRateAdamW(keras.optimizers.AdamW):
    """AdamW whose learning rate is smaller for some variables.

    (Scaling their gradients would do nothing: Adam divides by their size.)

    Args:
        slower: paths of these variables.
        factor: of their learning rate.

    Reference: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization",
    arXiv:1711.05101; Howard and Ruder 2018, "Universal Language Model Fine-tuning for
    Text Classification" (learning rates that differ between layers).
    """

    def __init__(self, slower: set[str], factor: float, **kwargs: Any):
        super().__init__(**kwargs)
        self._slower, self._factor = slower, factor

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        # The backend may pass its own variable, which has no path.
        known = self._trainable_variables[self._get_variable_index(variable)]
        if known.path in self._slower:
            learning_rate = learning_rate * self._factor
        super().update_step(gradient, variable, learning_rate)


def learning_rate_at(step: int, total_steps: int, config: TrainConfig) -> float:
    """Linear warm-up, then cosine decay to 1 % of the peak at the last step.

    Args:
        step: from 0.
        total_steps: of the training; warm-up takes a tenth of them at most.
        config: learning_rate (the peak) and warmup_steps.

    Returns:
        The learning rate of this step.

    Example:
        >>> config = TrainConfig(learning_rate=1.0, warmup_steps=10)
        >>> [round(learning_rate_at(s, 110, config), 3) for s in (0, 4, 10, 59, 109)]
        [0.1, 0.5, 1.0, 0.513, 0.01]

    Reference: Loshchilov and Hutter 2017, "SGDR: Stochastic Gradient Descent with Warm
    Restarts", arXiv:1608.03983, without restarts; Goyal et al. 2017, "Accurate, Large
    Minibatch SGD", arXiv:1706.02677 (warm-up).
    """
    warmup = min(config.warmup_steps, total_steps // 10)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, total_steps - warmup - 1)
    cosine = (1 + math.cos(math.pi * progress)) / 2
    return config.learning_rate * (0.01 + 0.99 * cosine)
