"""The load of the machine while a step runs, under MLflow's own names.

MLflow shows metrics whose names begin with `system/` on a page of their own.
"""

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PAUSE_S = 10.0  # between two samples, as MLflow's own monitor has it

Sink = Callable[[int, Mapping[str, float]], None]


@contextmanager
def watching(sink: Sink, *, pause_s: float = PAUSE_S) -> Iterator[None]:
    """Sample the load in a thread while the body runs, and once at its end.

    Args:
        sink: gets each sample's number and values; called from the thread.
    """
    ended = threading.Event()

    def watch() -> None:
        sampler = Sampler()
        for number in itertools.count():
            is_last = ended.wait(pause_s)
            sink(number, sampler.sample())
            if is_last:
                return

    thread = threading.Thread(target=watch, name="load", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(pause_s)


class Sampler:
    """Reads the load of the processors, memory, disk, and of NVIDIA GPUs if any."""

    def __init__(self) -> None:
        import psutil

        self._psutil = psutil
        self._process = psutil.Process()
        psutil.cpu_percent()  # the share since this call is what the next one gives
        self._gpus: list[Any] = []
        try:
            import pynvml
        except ImportError:
            return
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
            count = pynvml.nvmlDeviceGetCount()
            self._gpus = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(count)]
        except pynvml.NVMLError:
            pass  # no driver

    def sample(self) -> dict[str, float]:
        """The values, under MLflow's names where it has one; memory in 10⁶ bytes."""
        memory = self._psutil.virtual_memory()
        disk = self._psutil.disk_usage(str(Path.cwd()))
        values = {
            "cpu_utilization_percentage": self._psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / 1e6,
            "system_memory_usage_percentage": 100 * memory.used / memory.total,
            "process_memory_usage_megabytes": self._process.memory_info().rss / 1e6,
            "disk_usage_percentage": disk.percent,
            "disk_available_megabytes": disk.free / 1e6,
        }
        for index, gpu in enumerate(self._gpus):
            try:
                memory = self._nvml.nvmlDeviceGetMemoryInfo(gpu)
                busy = self._nvml.nvmlDeviceGetUtilizationRates(gpu)
                watts = self._nvml.nvmlDeviceGetPowerUsage(gpu) / 1000
            except self._nvml.NVMLError:  # some cards don't tell everything
                continue
            share = 100 * memory.used / memory.total
            values[f"gpu_{index}_memory_usage_percentage"] = share
            values[f"gpu_{index}_memory_usage_megabytes"] = memory.used / 1e6
            values[f"gpu_{index}_utilization_percentage"] = busy.gpu
            values[f"gpu_{index}_power_usage_watts"] = watts
        return {f"system/{name}": round(value, 1) for name, value in values.items()}
