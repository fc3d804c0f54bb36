"""Epochs and validations that fit a budget."""

from pathlib import Path

import numpy as np
import pytest

from seglib.data.dataset import Dataset
from seglib.data.pairs import Pair
from seglib.errors import UsageError
from seglib.planning.fingerprint import Fingerprint
from seglib.planning.measuring import Measured
from seglib.planning.timetable import plan_time


def facts(images: int) -> Fingerprint:
    pair = Pair("a", Path("a.png"), Path("a.png"))
    dataset = Dataset(
        root=Path("streets"),
        splits={"train": (pair,) * images},
        num_classes=2,
        class_names=("a", "b"),
        palette=((0, 0, 0), (1, 1, 1)),
        ignore_index=None,
    )
    return Fingerprint(
        dataset=dataset,
        opened={"train": 1},
        sizes=np.ones((1, 2)),
        class_pixels=np.ones((1, 2)),
        void_pixels=0,
        channels=3,
        stored=frozenset([(3, 8)]),
    )


def measured(*, step_s: float = 0.5, validation_s: float = 0.0) -> Measured:
    return Measured(
        start_s=8.0,
        step_s=step_s,
        load_s=0.0,
        validation_s=validation_s,
        batch_size=8,
        memory_bytes=0,
    )


def values(*given) -> dict:
    return {choice.name: choice.value for choice in plan_time(*given).choices}


def test_the_epochs_fill_the_budget():
    # 0.9 · 600 s - 8 s = 532 s, of which 90 % are 957 steps of 0.5 s: 21 of 45.
    found = values(facts(360), measured(), 10)
    assert (found["epochs"], found["max_minutes"]) == (21, 10)
    assert "steps_per_epoch" not in found
    assert plan_time(facts(360), measured(), 10).minutes == (8 + 945 * 0.5) / 60


def test_validation_takes_at_most_a_tenth():
    # 0.9 · 600 s - 8 s - 10 s = 522 s: 5 looks of 10 s; 939 steps are 20 epochs of 45.
    assert values(facts(360), measured(validation_s=10), 10)["validate_every"] == 4


def test_few_images_are_not_repeated_for_as_long_as_there_is_time():
    # 1,000 steps, however few the images are, in epochs of 20.
    found = values(facts(10), measured(step_s=0.01), 600)
    assert (found["epochs"], found["steps_per_epoch"]) == (50, 20)
    # 200 passes over 800 images are 20,000 steps of 8.
    assert values(facts(800), measured(step_s=0.01), 600)["epochs"] == 200


def test_an_epoch_of_a_large_dataset_is_a_part_of_a_pass():
    found = values(facts(80_000), measured(), 10)
    assert (found["epochs"], found["steps_per_epoch"]) == (5, 191)


def test_a_budget_without_room_for_steps_names_the_least_one():
    # (20 · 30 s + 8 s) / 0.9 are 11.3 minutes.
    with pytest.raises(UsageError, match=r"must be ≥ 11\.3 on this machine.*: 5\."):
        plan_time(facts(360), measured(step_s=30), 5)
