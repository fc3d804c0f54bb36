import pytest

from seglib.config import TrainConfig
from seglib.training.schedule import SCHEDULES, learning_rate_at


def rates(schedule: str, steps: int = 101, **settings) -> list[float]:
    config = TrainConfig(
        learning_rate=1.0, schedule=schedule, warmup_steps=0, **settings
    )
    return [learning_rate_at(step, steps, config) for step in range(steps)]


@pytest.mark.parametrize(
    ("schedule", "first", "middle", "last"),
    [
        ("cosine", 1.0, 0.505, 0.01),
        ("poly", 1.0, 0.5**0.9, 0.0),
        ("constant", 1.0, 1.0, 1.0),
        # At 0.5: 2/7 of the way down, (1 + cos(2π/7)) / 2.
        ("one_cycle", 0.04, 0.81174, 0.0),
    ],
)
def test_a_schedule_begins_and_ends_as_published(schedule, first, middle, last):
    found = rates(schedule)
    assert (found[0], found[50], found[-1]) == pytest.approx(
        (first, middle, last), abs=1e-4
    )
    assert max(found) == pytest.approx(1.0)


def test_one_cycle_rises_for_three_tenths():
    found = rates("one_cycle")
    assert found.index(max(found)) == 30
    assert found[:31] == sorted(found[:31])
    assert found[30:] == sorted(found[30:], reverse=True)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_training_that_gets_shorter_still_ends_low(schedule):
    config = TrainConfig(learning_rate=1.0, schedule=schedule)
    last = learning_rate_at(49, 50, config)
    assert last == learning_rate_at(4999, 5000, config)
