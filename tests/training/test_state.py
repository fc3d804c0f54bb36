"""The time of a training, which the tests tell, and states that are not as expected."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from seglib.config import TrainConfig
from seglib.models import build_custom
from seglib.models.model import SegmentationModel
from seglib.steps.train import train
from seglib.training.checkpoints import Checkpoints, Snapshot
from seglib.training.clock import Clock
from seglib.training.state import require_state


class Time:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def now() -> Time:
    return Time()


def test_without_a_limit_all_steps_are_taken(now):
    clock = Clock(0, now)
    now.seconds += 1000
    assert clock.left_s == float("inf")
    clock.end_step()
    assert clock.total_steps(50, planned=70) == 70


def test_the_pace_says_how_many_steps_the_time_still_allows(now):
    clock = Clock(10, now)
    facts = {**clock.facts(), "elapsed_s": 100, "timed_s": 80, "untimed_steps": 1}
    clock.resume(facts)
    now.seconds += 20
    clock.end_step()  # the first of a process compiles
    # 20 steps and two untimed ones in 80 s: in the 480 s that are left, 120 more.
    assert clock.total_steps(22, planned=1000) == 142
    assert clock.total_steps(22, planned=30) == 30


def test_until_there_is_a_pace_all_steps_are_planned(now):
    clock = Clock(10, now)
    now.seconds += 60
    clock.end_step()
    assert clock.total_steps(1, planned=1000) == 1000


def test_the_time_between_two_processes_is_not_counted(now):
    first = Clock(10, now)
    now.seconds += 240
    facts = first.facts()
    assert facts["elapsed_s"] == 240
    now.seconds += 10_000
    second = Clock(10, now)
    now.seconds += 60  # it has started for 60 s
    second.resume(facts)
    assert second.elapsed_s == 300
    assert second.left_s == 300


def test_an_epoch_that_was_interrupted_goes_on_being_timed(now):
    clock = Clock(0, now)
    clock.resume({**clock.facts(), "elapsed_s": 90, "epoch_s": 30})
    now.seconds += 5
    assert clock.epoch_s == 35
    clock.begin_epoch()
    assert clock.epoch_s == 0


def test_another_validation_is_affordable_while_all_take_their_share_at_most(now):
    clock = Clock(0, now)
    assert clock.can_afford_validation()  # nothing is known of the first one
    now.seconds += 60
    with clock.validation():
        now.seconds += 10
    # 20 of 80 s with one more; 20 of 200 s are a tenth.
    assert not clock.can_afford_validation()
    now.seconds += 119
    assert not clock.can_afford_validation()
    now.seconds += 1
    assert clock.can_afford_validation()
    assert clock.validation_share == pytest.approx(10 / 190)


def test_the_time_of_validations_is_known_after_an_interruption(now):
    first = Clock(0, now)
    now.seconds += 90
    with first.validation():
        now.seconds += 10
    second = Clock(0, now)
    second.resume(first.facts())
    assert second.validation_share == first.validation_share == 0.1
    assert not second.can_afford_validation()


_SETTINGS = TrainConfig(epochs=2, steps_per_epoch=2, batch_size=2, precision="float32")


def _model() -> SegmentationModel:
    keras.utils.set_random_seed(3)
    image = keras.Input((32, 48, 3))
    x = keras.layers.Conv2D(4, 1)(keras.layers.Rescaling(1 / 255)(image))
    logits = keras.layers.Conv2D(8, 1)(keras.layers.BatchNormalization()(x))
    return build_custom(image, logits, ignore_index=255)


def _interrupt(done: int, _total: int) -> None:
    if done == 3:
        raise KeyboardInterrupt


@pytest.fixture(scope="module")
def interrupted(tiny_dataset: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that was interrupted in its second epoch."""
    place = tmp_path_factory.mktemp("interrupted")
    kept = Checkpoints(place, every_s=0, largest_share=1e9)

    def on_step(done: int, total: int) -> None:
        kept._wait()  # each step's is whole before the next
        _interrupt(done, total)

    with pytest.raises(KeyboardInterrupt):
        train(
            _model(),
            tiny_dataset,
            config=_SETTINGS,
            checkpoints=kept,
            progress=on_step,
        )
    return Path(kept.folder)


@pytest.fixture(scope="module")
def snapshots(interrupted: Path) -> list[Snapshot]:
    """Older and newer."""
    found = [
        Snapshot.from_bytes(p.read_bytes()) for p in interrupted.glob("*.checkpoint")
    ]
    return sorted(found, key=lambda snapshot: snapshot.rank)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return _model().network


def _facts(**changes: Any) -> Callable[[Snapshot], Snapshot]:
    return lambda one: replace(one, facts={**one.facts, **changes})


def _arrays(**changes: Any) -> Callable[[Snapshot], Snapshot]:
    return lambda one: replace(one, arrays={**one.arrays, **changes})


def _shorter(name: str) -> Callable[[Snapshot], Snapshot]:
    return lambda one: _arrays(**{name: one.arrays[name][:-1]})(one)


_OTHER = [np.zeros((7, 7), "float32")]
MALFORMED = [
    ("history", _facts(history=None)),
    ("history", _facts(history=[{"epoch": 1}])),
    ("history", _facts(history=["epoch"])),
    ("numerics", _facts(numerics={"precision": "float8", "xla": False})),
    ("numerics", _facts(numerics={"precision": "float32", "xla": 1})),
    ("numerics", _facts(numerics=None)),
    ("loss_sum", _facts(loss_sum=None)),
    ("best_miou", _facts(best_miou="high")),
    ("clock", _facts(clock={})),
    ("network", _arrays(network=_OTHER)),
    ("network", _shorter("network")),
    ("best", _arrays(best=_OTHER)),
    ("confusion", _arrays(confusion=[])),
    ("optimizer", _arrays(optimizer=[])),
    ("optimizer", _shorter("optimizer")),
    ("optimizer", _arrays(optimizer=_OTHER * 4)),
    ("best", lambda one: Snapshot(facts={**one.facts, "is_outcome": True}, arrays={})),
]


def test_what_a_training_writes_fits_its_network(
    snapshots: list[Snapshot], network: keras.Model
) -> None:
    assert [one.facts["step"] for one in snapshots][-1] >= 2
    for one in snapshots:
        require_state(one, network)


@pytest.mark.parametrize(("name", "change"), MALFORMED)
def test_a_malformed_state_is_named(
    snapshots: list[Snapshot],
    network: keras.Model,
    name: str,
    change: Callable[[Snapshot], Snapshot],
) -> None:
    with pytest.raises(ValueError, match=f"malformed: .*`{name}`"):
        require_state(change(snapshots[-1]), network)


def test_a_training_passes_over_a_malformed_checkpoint_and_takes_the_one_before(
    interrupted: Path,
    snapshots: list[Snapshot],
    tiny_dataset: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    older, newer = snapshots
    bad = _arrays(network=_OTHER)(_facts(step=99)(newer))
    for slot in interrupted.glob("*.checkpoint"):
        if Snapshot.from_bytes(slot.read_bytes()).rank == newer.rank:
            slot.write_bytes(bad.to_bytes())
            named = slot
    with caplog.at_level(logging.INFO):
        history = train(
            _model(), tiny_dataset, config=_SETTINGS, checkpoints=interrupted.parent
        )
    assert f"{named}: malformed: `network` has the shapes" in caplog.text
    assert f"going on after step {older.facts['step']} of 4" in caplog.text
    assert len(history) == 2
