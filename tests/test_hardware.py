import os
import subprocess
import sys

import pytest

from seglib.hardware import device_name, half_format, usable_cores


@pytest.fixture
def sixteen(monkeypatch):
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("This system has no affinity. To run it: use Linux.")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 16),  # outside of a container
        ({"cpu.max": "max 100000\n"}, 16),
        ({"cpu.max": "800000 100000\n"}, 8),
        ({"cpu.max": "150000 100000\n"}, 2),  # one and a half
        ({"cpu.max": "3200000 100000\n"}, 16),  # more than there are
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 16),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu.max": "unreadable"}, 16),
    ],
)
def test_a_containers_limit_lowers_the_number_of_cores(
    sixteen, tmp_path, files, expected
):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert usable_cores(tmp_path) == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux has affinity.")
def test_the_affinity_of_the_process_lowers_it_too(tmp_path):
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert usable_cores(tmp_path) == 1
    finally:
        os.sched_setaffinity(0, before)


def test_the_device_is_told_before_the_backend_is_loaded(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    devices, driver = tmp_path / "dev", tmp_path / "gpus"
    devices.mkdir()
    cores = usable_cores()
    assert device_name(devices, driver) == f"{cores} CPU core{'s' * (cores > 1)}"
    (devices / "kfd").touch()  # ROCm's
    assert device_name(devices, driver) == "GPU"
    for number in range(2):
        (devices / f"nvidia{number}").touch()
        (driver / f"0000:{number}").mkdir(parents=True)
        text = "Model: \t\t NVIDIA H200\nIRQ:   \t 105\n"
        (driver / f"0000:{number}" / "information").write_text(text)
    assert device_name(devices, driver) == "2 × NVIDIA H200"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert device_name(devices, driver).endswith("CPU cores" if cores > 1 else "core")


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((6, 1), ""), ((7, 5), "float16"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")],
)
def test_a_gpu_before_ampere_has_float16_alone(monkeypatch, capability, expected):
    monkeypatch.setattr("seglib.hardware.has_gpu", lambda: True)
    monkeypatch.setattr("seglib.hardware._compute_capability", lambda: capability)
    assert half_format() == expected


@pytest.mark.slow  # it starts TensorFlow
def test_the_level_leaves_out_that_error_and_nothing_of_pythons():
    script = (
        "import tensorflow as tf; tf.config.list_physical_devices();"
        "tf.linalg.matmul(tf.zeros([2, 3]), tf.zeros([2, 3]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "cuInit" not in done.stderr
    assert "InvalidArgumentError" in done.stderr
