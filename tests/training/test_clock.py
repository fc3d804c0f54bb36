"""The time is told by the tests."""

import pytest

from seglib.training.clock import Clock


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
    clock.resume({"elapsed_s": 100, "epoch_s": 0, "timed_s": 80, "untimed_steps": 1})
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
    state = first.state()
    assert state["elapsed_s"] == 240
    now.seconds += 10_000
    second = Clock(10, now)
    now.seconds += 60  # it has started for 60 s
    second.resume(state)
    assert second.elapsed_s == 300
    assert second.left_s == 300


def test_an_epoch_that_was_interrupted_goes_on_being_timed(now):
    clock = Clock(0, now)
    clock.resume({"elapsed_s": 90, "epoch_s": 30, "timed_s": 0, "untimed_steps": 0})
    now.seconds += 5
    assert clock.epoch_s == 35
    clock.begin_epoch()
    assert clock.epoch_s == 0
