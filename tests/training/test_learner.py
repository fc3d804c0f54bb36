import threading

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.waiting import HANG_S
from seglib.config import TrainConfig
from seglib.distributed import ProcessGroup
from seglib.errors import SegError
from seglib.models import build_model
from seglib.training.learner import Learner
from seglib.training.losses import CrossEntropy
from seglib.training.precision import Numerics
from tests.steps.small_network import build


def learner_of(
    *,
    model=None,
    precision: str = "float32",
    parts: int = 1,
    group: ProcessGroup | None = None,
    **settings,
) -> Learner:
    return Learner(
        model or build(0),
        Numerics(precision, parts=parts),
        config=TrainConfig(**settings),
        loss=CrossEntropy(ignore_index=255),
        distillation=None,
        group=group or ProcessGroup(),
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


def test_a_step_is_not_waited_for(batch, monkeypatch):
    """The device here ends its steps when all have been begun."""
    learner = learner_of()
    learner.compile()
    step, all_begun = learner._step, threading.Event()

    class Late:
        def __init__(self, value):
            self.value = value

        def __float__(self):
            assert all_begun.wait(HANG_S)
            return float(self.value)

    def late(*batch):
        loss, counts = step(*batch)
        return Late(loss), counts

    learner._is_proven = True
    monkeypatch.setattr(learner, "_step", late)
    for _ in range(3):
        learner.take_step(*batch, learning_rate=1e-3)
    all_begun.set()
    assert all(np.isfinite(result.loss) for result in learner.results())


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


def test_several_processes_are_told_how_to_divide_a_batch(batch, monkeypatch):
    learner = learner_of(group=ProcessGroup(count=2), batch_size=8)

    def step(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM")

    learner._step = step
    with pytest.raises(SegError, match=r"cannot hold 4 views .* Set `accumulate: 2`"):
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


@pytest.fixture(scope="module")
def compact():
    return build_model("compact_small", num_classes=8, image_size=(32, 48))


def test_after_a_trial_a_learner_trains_as_a_new_one(batch, monkeypatch):
    settings = {"batch_size": 4, "crop_height": 32, "crop_width": 48, "ema_decay": 0.5}
    outcomes = []
    for with_trial in (False, True):
        new = learner_of(model=build(0, dropout=0.5), **settings)
        tried = learner_of(model=build(1, dropout=0.5), **settings)
        if with_trial:
            tried.time()
            compiled = tried._step
            tried.restart(new)
            new = tried
        new.compile()
        assert not with_trial or new._step is compiled
        for _ in range(2):
            new.take_step(*batch, learning_rate=1e-2)
        outcomes.append((list(new.results()), new.weights))
    (first, first_weights), (second, second_weights) = outcomes
    for a, b in zip(first, second, strict=True):
        assert a.loss == b.loss
        np.testing.assert_array_equal(a.confusion, b.confusion)
    for a, b in zip(first_weights, second_weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_frozen_encoder_needs_another_step_than_the_trial(batch):
    learner = learner_of()
    learner.time()
    compiled = learner._step
    learner.restart(learner)
    learner.freeze_encoder(frozen=True)
    learner.compile()
    assert learner._step is not compiled


def test_float16_learns_as_float32_does_at_any_size_of_the_gradients(batch, compact):
    """They are a thousandth of the smallest that float16 knows, or clipped."""
    losses = {}
    for precision in ("float32", "float16"):
        learner = learner_of(model=compact, precision=precision, clip_norm=1.0)
        learner.compile()
        for _ in range(6):
            learner.take_step(*batch, learning_rate=3e-3)
        losses[precision] = [result.loss for result in learner.results()]
    np.testing.assert_allclose(losses["float16"], losses["float32"], rtol=0.02)
    assert losses["float16"][-1] < 0.97 * losses["float16"][0]


def test_a_step_whose_gradients_overflow_is_left_out_and_no_divergence(batch, compact):
    learner = learner_of(model=compact, precision="float16", ema_decay=0.9)
    learner.compile()
    scale = learner.optimizer.dynamic_scale
    before = [np.asarray(weight) for weight in learner.network.trainable_variables]
    scale.assign(1e30)
    learner.take_step(*batch, learning_rate=1e-2)
    (result,) = learner.results()
    assert np.isfinite(result.loss)
    assert float(scale) == pytest.approx(0.5e30)
    for weight, old in zip(learner.network.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(np.asarray(weight), old)
    scale.assign(1024.0)
    learner.take_step(*batch, learning_rate=1e-2)
    assert all(np.isfinite(weight).all() for weight in learner.weights)
    changed = zip(learner.network.trainable_variables, before, strict=True)
    assert any((np.asarray(weight) != old).any() for weight, old in changed)
