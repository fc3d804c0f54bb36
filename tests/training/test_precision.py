"""The trial of number formats and of XLA: its rules by hand, and trials that ran."""

import logging

import keras
import numpy as np
import pytest

from seglib.config import TrainConfig
from seglib.errors import UsageError
from seglib.models import build_model, build_network
from seglib.training.losses import CrossEntropy
from seglib.training.precision import (
    Numerics,
    Timing,
    candidates,
    choose_numerics,
    is_worth_trying,
    restored,
    time_steps,
)

FLOAT32, BFLOAT16 = Numerics(), Numerics("bfloat16")
FLOAT32_XLA, BFLOAT16_XLA = Numerics("float32", True), Numerics("bfloat16", True)
# Measured on an H200, at 360×480 and batch 8.
COMPACT = {FLOAT32: Timing(13, 0.0458), FLOAT32_XLA: Timing(40, 0.0123)}
UNET = {FLOAT32: Timing(13, 0.0461), FLOAT32_XLA: Timing(40, 0.0754)}


@pytest.fixture
def on_a_gpu(monkeypatch):
    monkeypatch.setattr("seglib.training.precision.has_gpu", lambda: True)
    monkeypatch.setattr("seglib.training.precision.half_format", lambda: "bfloat16")


def _candidates(*, own_layers=False, processes=1, **settings):
    config = TrainConfig(**settings)
    return candidates(config, own_layers=own_layers, processes=processes)


class TestCandidates:
    def test_on_a_gpu_16_bits_come_with_xla_and_float32_without(
        self, on_a_gpu, monkeypatch
    ):
        assert _candidates() == [FLOAT32, BFLOAT16_XLA]
        monkeypatch.setattr("seglib.training.precision.half_format", lambda: "float16")
        assert _candidates() == [FLOAT32, Numerics("float16", xla=True)]
        monkeypatch.setattr("seglib.training.precision.half_format", lambda: "")
        assert _candidates() == [FLOAT32, FLOAT32_XLA]

    def test_on_a_cpu_xla_is_none(self, monkeypatch):
        monkeypatch.setattr("seglib.training.precision.has_gpu", lambda: False)
        for half, expected in (("", [FLOAT32]), ("bfloat16", [FLOAT32, BFLOAT16])):
            monkeypatch.setattr(
                "seglib.training.precision.half_format", lambda h=half: h
            )
            assert _candidates() == expected

    def test_settings_leave_one_of_them(self, on_a_gpu):
        assert _candidates(precision="bfloat16", xla="always") == [BFLOAT16_XLA]
        assert _candidates(precision="float32", xla="never") == [FLOAT32]
        assert _candidates(precision="float32") == [FLOAT32, FLOAT32_XLA]
        assert _candidates(xla="always") == [FLOAT32_XLA, BFLOAT16_XLA]

    def test_a_network_of_own_layers_keeps_its_number_formats(self, on_a_gpu):
        assert _candidates(own_layers=True) == [FLOAT32, FLOAT32_XLA]

    def test_several_processes_compute_without_xla(self, on_a_gpu):
        assert _candidates(processes=2) == [FLOAT32, BFLOAT16]
        with pytest.raises(UsageError, match="`always` where 2 processes share"):
            _candidates(processes=2, xla="always")

    def test_op_determinism_switches_xla_off(self, on_a_gpu, monkeypatch):
        # TensorFlow offers no way back from it, so it is not switched on here.
        monkeypatch.setattr(
            "seglib.training.precision.has_op_determinism", lambda: True
        )
        assert _candidates() == [FLOAT32, BFLOAT16]
        assert restored({"precision": "bfloat16", "xla": True}, 1) == BFLOAT16
        with pytest.raises(UsageError, match="while TensorFlow's op determinism is on"):
            _candidates(xla="always")

    def test_a_cpu_computes_without_xla(self, monkeypatch):
        monkeypatch.setattr("seglib.training.precision.has_gpu", lambda: False)
        assert restored({"precision": "float32", "xla": True}, 1) == FLOAT32
        with pytest.raises(UsageError, match="cannot be `always` without a GPU"):
            _candidates(xla="always")

    def test_an_unknown_choice_names_the_nearest(self):
        with pytest.raises(UsageError, match="Unknown xla: `alway`. Did you mean `alw"):
            TrainConfig(xla="alway")


class TestChoice:
    def test_the_fastest_steps_win(self):
        for timings, fastest in ((COMPACT, FLOAT32_XLA), (UNET, FLOAT32)):
            chosen = choose_numerics(list(timings), timings.__getitem__, 10**6)
            assert chosen == fastest

    def test_what_cannot_win_back_its_compilation_is_not_tried(self):
        known = {FLOAT32: Timing(10, 0.04)}
        # Another precision: 10 s of 3/4 of n · 40 ms, that is from 334 steps on.
        assert not is_worth_trying(BFLOAT16, known, 333)
        assert is_worth_trying(BFLOAT16, known, 334)
        # XLA: three times as long, until it was measured; 25 s then, from 834 on.
        assert not is_worth_trying(FLOAT32_XLA, known, 1000)
        assert is_worth_trying(FLOAT32_XLA, known, 1001)
        known[FLOAT32_XLA] = Timing(25, 0.08)
        assert not is_worth_trying(BFLOAT16_XLA, known, 833)
        assert is_worth_trying(BFLOAT16_XLA, known, 834)

    def test_a_short_training_tries_nothing(self):
        assert choose_numerics([FLOAT32, BFLOAT16], pytest.fail, 999) == FLOAT32
        assert choose_numerics([BFLOAT16_XLA], pytest.fail, 10**6) == BFLOAT16_XLA

    def test_a_limit_of_time_is_a_limit_of_steps(self):
        # 50 s of 45.8 ms are 1091 steps, of which 3/4 are 37.5 s: less than 3 · 13 s.
        allowed = [FLOAT32, FLOAT32_XLA]
        choice = choose_numerics(allowed, COMPACT.__getitem__, 10**6, limit_s=50)
        assert choice == FLOAT32
        choice = choose_numerics(allowed, COMPACT.__getitem__, 10**6, limit_s=600)
        assert choice == FLOAT32_XLA

    def test_where_all_fail_the_plainest_ones_error_is_raised(self):
        def fail(numerics):
            raise RuntimeError(str(numerics))

        with pytest.raises(RuntimeError, match="^float32$"):
            choose_numerics([FLOAT32, BFLOAT16_XLA], fail, 10**6)


def test_a_candidate_that_fails_is_left_out_and_the_log_says_why(monkeypatch, caplog):
    """Candidates of a GPU, of which one has an operation that XLA does not compile."""
    monkeypatch.setattr("seglib.models.layers.upsampling.has_gpu", lambda: True)
    model = build_model("unet", num_classes=3, image_size=(32, 32), encoder="mini")

    def measure(numerics):
        network = build_network(model.contract, precision=numerics.precision)
        loss = _loss_that_xla_refuses if numerics == BFLOAT16_XLA else CrossEntropy()
        network.compile("sgd", loss, jit_compile=numerics.xla)
        images, masks = np.zeros((1, 32, 32, 3)), np.zeros((1, 32, 32), np.int32)
        return time_steps(lambda: network.train_on_batch(images, masks))

    with caplog.at_level(logging.INFO, logger="seglib.training.precision"):
        choice = choose_numerics([FLOAT32, BFLOAT16_XLA, FLOAT32_XLA], measure, 10**7)
    assert choice in (FLOAT32, FLOAT32_XLA)
    own = [r for r in caplog.records if r.name == "seglib.training.precision"]
    said = [record.getMessage() for record in own]
    assert len(said) == 3
    assert said[0].startswith("float32: ")
    assert " ms a step, " in said[0]
    assert said[1].startswith("bfloat16 with XLA: left out, it fails here (")
    assert "\n" not in said[1]
    assert said[2].startswith("float32 with XLA: ")
    assert " ms a step, " in said[2]


def _loss_that_xla_refuses(masks, logits):
    import tensorflow as tf

    longest = tf.unique(tf.reshape(masks, [-1]))[0]
    text = tf.strings.length(tf.strings.as_string(tf.reduce_max(longest)))
    return keras.ops.mean(logits) * tf.cast(text, logits.dtype)
