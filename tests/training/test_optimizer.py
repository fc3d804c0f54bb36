import keras
import numpy as np
import pytest
import tensorflow as tf

from seglib.config import TrainConfig
from seglib.models import build_model
from seglib.training.optimizer import TwoRateAdamW, build_optimizer, encoder_of


def test_the_encoder_takes_smaller_steps():
    """Adam's first step has the size of the learning rate, whatever the gradient."""
    network = build_model("compact", num_classes=2, image_size=(32, 32)).network
    config = TrainConfig(
        learning_rate=0.01, encoder_learning_rate=0.1, weight_decay=0.0
    )
    optimizer = build_optimizer(config, network)
    weights = network.trainable_variables
    before = [np.asarray(weight) for weight in weights]
    optimizer.apply([keras.ops.ones_like(weight) * 7.0 for weight in weights])
    slower = {weight.path for weight in encoder_of(network).trainable_variables}
    assert 0 < len(slower) < len(weights)
    for weight, old in zip(weights, before, strict=True):
        step = 0.001 if weight.path in slower else 0.01
        np.testing.assert_allclose(old - np.asarray(weight), step, rtol=2e-3)


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("parts", [1, 2])
def test_adamw_updates_as_keras_does_with_a_fraction_of_its_operations(parts, xla):
    options = {
        "weight_decay": 0.01,
        "gradient_accumulation_steps": parts if parts > 1 else None,
        "use_ema": True,
        "ema_momentum": 0.9,
    }
    rng = np.random.default_rng(0)
    start = [rng.normal(size=shape).astype("float32") for shape in [(3, 4), (4,)]]
    given = [
        [rng.normal(size=value.shape).astype("float32") * 0.1**step for value in start]
        for step in range(4)
    ]
    outcomes, operations = [], []
    for optimizer in (keras.optimizers.AdamW(**options), TwoRateAdamW(**options)):
        weights = [
            keras.Variable(value, name=name)
            for value, name in zip(start, ("kernel", "bias"), strict=True)
        ]
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        optimizer.build(weights)
        apply = _compiled(optimizer, weights, xla=xla)
        for step, gradients in enumerate(given):
            apply(tf.constant(0.1 / (step + 1)), *gradients)
        graph = apply.get_concrete_function(tf.constant(0.1), *given[0]).graph
        operations.append(len(graph.as_graph_def().node))
        outcomes.append([np.asarray(x) for x in (*weights, *optimizer.variables)])
    for keras_value, value in zip(*outcomes, strict=True):
        np.testing.assert_allclose(value, keras_value, rtol=1e-5, atol=1e-6)
    if parts == 1:
        assert operations[1] < 0.75 * operations[0]  # the average is Keras's


def _compiled(optimizer, weights, *, xla):
    @tf.function(jit_compile=xla, autograph=False)
    def apply(rate, *gradients):
        optimizer.learning_rate.assign(rate)
        optimizer.apply(list(gradients), weights)

    return apply
