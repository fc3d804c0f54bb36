import numpy as np
import pytest
import tensorflow as tf

from seglib.config import TrainConfig
from seglib.distributed import ProcessGroup
from seglib.errors import SegError
from seglib.training.learner import Learner
from seglib.training.losses import CrossEntropy
from seglib.training.precision import Numerics
from tests.steps.small_network import build


def learner_of(*, parts: int = 1, **settings) -> Learner:
    return Learner(
        build(0),
        Numerics(parts=parts),
        config=TrainConfig(**settings),
        loss=CrossEntropy(ignore_index=255),
        distillation=None,
        group=ProcessGroup(),
    )


@pytest.fixture
def batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 32, 48, 3)).astype(np.uint8)
    return images, rng.integers(0, 8, (4, 32, 48)).astype(np.int32)


def test_each_step_counts_its_own_pixels_also_after_the_encoder_thaws(batch):
    learner = learner_of()
    images, masks = batch
    masks[0] = 255
    for frozen in (True, False):
        learner.freeze_encoder(frozen=frozen)
        learner.compile()
        for _ in range(2):
            learner.take_step(images, masks, learning_rate=1e-3)
            (result,) = learner.results()
            assert np.isfinite(result.loss)
            assert result.confusion.sum() == 3 * 32 * 48


def test_outcomes_come_in_the_order_of_the_steps(batch):
    learner = learner_of()
    learner.compile()
    for rate in (1e-3, 2e-3, 3e-3):
        learner.take_step(*batch, learning_rate=rate)
    first = [result.learning_rate for result in learner.results(pending=1)]
    rest = [result.learning_rate for result in learner.results()]
    assert (first, rest) == ([1e-3, 2e-3], [3e-3])


def test_parts_of_a_batch_give_the_update_of_the_whole(batch):
    """By SGD, while nothing learns that sees statistics of the batch."""
    weights = []
    for parts in (1, 2):
        learner = learner_of(parts=parts, optimizer="sgd", momentum=0.0)
        learner.freeze_encoder(frozen=True)  # its batch normalisation does not learn
        learner.compile()
        learner.take_step(*batch, learning_rate=0.1)
        (result,) = learner.results()
        assert result.confusion.sum() == 4 * 32 * 48
        weights.append(learner.weights)
    for whole, halves in zip(*weights, strict=True):
        np.testing.assert_allclose(halves, whole, atol=1e-5)


def test_a_batch_that_does_not_fit_the_memory_is_taken_in_parts(
    batch, monkeypatch, caplog
):
    """The device here has room for one view at a time."""
    learner = learner_of(batch_size=4)
    compile_step = learner.compile

    def compile_for_small_memory(group=None):
        compile_step(group)
        step = learner._step

        def small(images, masks, rate):
            if len(images) > 1:
                raise tf.errors.ResourceExhaustedError(None, None, "OOM")
            return step(images, masks, rate)

        learner._step = small

    monkeypatch.setattr(learner, "compile", compile_for_small_memory)
    learner.compile()
    learner.take_step(*batch, learning_rate=1e-3)
    (result,) = learner.results()
    assert result.confusion.sum() == 4 * 32 * 48
    assert learner.numerics.parts == 4
    assert "each batch is taken in 4 parts of 1" in caplog.text


def test_a_view_that_does_not_fit_the_memory_is_an_error_with_advice(
    batch, monkeypatch
):
    learner = learner_of(batch_size=4)

    def compile_for_no_memory(_group=None):
        def step(*_):
            raise tf.errors.ResourceExhaustedError(None, None, "OOM")

        learner._step = step

    monkeypatch.setattr(learner, "compile", compile_for_no_memory)
    learner.compile()
    with pytest.raises(SegError, match="cannot hold 1 views .* `crop_height`"):
        learner.take_step(*batch, learning_rate=1e-3)


def test_the_moving_average_of_the_weights_is_what_is_kept(batch):
    learner = learner_of(ema_decay=0.5)
    learner.compile()
    network = learner.network
    plain = [np.asarray(weight) for weight in network.trainable_variables]
    for step in range(2):
        learner.take_step(*batch, learning_rate=1e-2)
        now = [np.asarray(weight) for weight in network.trainable_variables]
        # Keras's average is the first step's weights, then half of each.
        average = (
            now if step == 0 else [(a + b) / 2 for a, b in zip(plain, now, strict=True)]
        )
        plain = now
    kept = {w.path: v for w, v in zip(network.weights, learner.weights, strict=True)}
    for weight, expected in zip(network.trainable_variables, average, strict=True):
        np.testing.assert_allclose(kept[weight.path], expected, atol=1e-6)
    for weight in network.non_trainable_variables:
        if weight.path in kept:
            np.testing.assert_array_equal(kept[weight.path], np.asarray(weight))
