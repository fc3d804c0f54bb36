"""The load of the machine, sampled beside a step."""

import threading
from collections.abc import Mapping

import psutil
import pytest

from benchmarks.waiting import HANG_S
from seglib.runtime.system_metrics import Sampler, watching


def test_a_sample_has_mlflows_names_and_the_systems_values() -> None:
    values = Sampler().sample()
    total = psutil.virtual_memory().total / 1e6
    assert 0 <= values["system/cpu_utilization_percentage"] <= 100
    assert 0 < values["system/system_memory_usage_megabytes"] < total
    assert 0 < values["system/system_memory_usage_percentage"] < 100
    assert all(name.startswith("system/") for name in values)


def test_samples_are_numbered_and_the_last_comes_with_the_end() -> None:
    got: list[int] = []
    third = threading.Event()

    def sink(number: int, values: Mapping[str, float]) -> None:
        assert values
        got.append(number)
        if number == 2:
            third.set()

    with watching(sink, pause_s=0.01):
        assert third.wait(HANG_S)
    assert got == list(range(len(got)))
    assert len(got) >= 4
    with pytest.raises(ZeroDivisionError), watching(sink):
        _ = 1 / 0
    assert got[-1] == 0, "a step of seconds has one, too"
