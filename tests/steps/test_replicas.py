"""Several devices that share a batch learn what a single one does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seglib.distributed.replicas import Replicas
from seglib.errors import UsageError

SCRIPT = Path(__file__).with_name("replicated.py")


@pytest.fixture(scope="module")
def outcomes(repository: Path, tiny_root: Path, tmp_path_factory) -> dict[str, Any]:
    place = tmp_path_factory.mktemp("checkpoints")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tiny_root), str(place)],
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_two_devices_learn_what_one_learns(outcomes):
    one, both = outcomes["one"], outcomes["both"]
    assert both["losses"] == pytest.approx(one["losses"], rel=1e-3)
    assert both["mious"] == pytest.approx(one["mious"], abs=5e-3)
    for alone, shared in zip(one["weights"], both["weights"], strict=True):
        # Batch normalisation's statistics are among them.
        np.testing.assert_allclose(shared, alone, rtol=2e-2, atol=2e-3)


@pytest.mark.slow
def test_an_interrupted_training_on_two_devices_goes_on_exactly(outcomes):
    assert outcomes["stopped"] is None
    resumed, both = outcomes["resumed"], outcomes["both"]
    assert resumed["weights"] == both["weights"]
    assert resumed["mious"] == both["mious"]
    # Each device gets half of what they had together: its rounding may be another.
    assert resumed["losses"] == pytest.approx(both["losses"], rel=1e-6)


@pytest.mark.slow
def test_a_teacher_on_two_devices_is_refused(outcomes):
    assert "A teacher teaches on one device. Received: 2." in outcomes["taught"]


def test_devices_that_cannot_share_a_batch_evenly_are_refused():
    with pytest.raises(UsageError, match=r"multiple of the 2 devices.*batch_size=3"):
        Replicas(["CPU:0", "CPU:1"], batch_size=3)


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(UsageError, match=r"no device GPU:7.*CPU:0"):
        Replicas(["CPU:0", "GPU:7"], batch_size=4)
