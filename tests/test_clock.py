"""Times are given; what a test itself takes is far below the tolerance."""

import time

import pytest

from seglib.clock import Clock

NEARLY = {"abs": 5.0}  # seconds


def test_without_a_limit_all_steps_are_taken():
    clock = Clock(time.monotonic() - 1000, max_minutes=0)
    assert clock.left_s == float("inf")
    clock.end_step()
    assert clock.total_steps(50, planned=70) == 70


def test_the_pace_says_how_many_steps_the_time_still_allows():
    clock = Clock(time.monotonic(), max_minutes=10)
    clock.go_on({"elapsed_s": 100, "epoch_s": 0, "timed_s": 80, "untimed_steps": 1})
    clock.end_step()  # the first of a process compiles
    # 20 steps and two untimed ones in 80 s: in the 500 s that are left, 125 more.
    assert clock.total_steps(22, planned=1000) == pytest.approx(147, abs=3)
    assert clock.total_steps(22, planned=30) == 30


def test_until_there_is_a_pace_all_steps_are_planned():
    clock = Clock(time.monotonic(), max_minutes=10)
    clock.end_step()
    assert clock.total_steps(1, planned=1000) == 1000


def test_the_time_between_two_processes_is_not_counted():
    first = Clock(time.monotonic() - 240, max_minutes=10)
    readings = first.readings()
    assert readings["elapsed_s"] == pytest.approx(240, **NEARLY)
    second = Clock(time.monotonic() - 60, max_minutes=10)  # it has started for 60 s
    second.go_on(readings)
    assert second.elapsed_s == pytest.approx(300, **NEARLY)
    assert second.left_s == pytest.approx(300, **NEARLY)


def test_an_epoch_that_was_interrupted_goes_on_being_timed():
    clock = Clock(time.monotonic(), max_minutes=0)
    clock.go_on({"elapsed_s": 90, "epoch_s": 30, "timed_s": 0, "untimed_steps": 0})
    assert clock.epoch_s == pytest.approx(30, **NEARLY)
    clock.begin_epoch()
    assert clock.epoch_s == pytest.approx(0, **NEARLY)
