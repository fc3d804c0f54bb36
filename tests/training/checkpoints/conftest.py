"""Small snapshots, and a look at what lies where they are kept."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.waiting import HANG_S
from seglib.training.checkpoints import Checkpoints, Snapshot
from seglib.training.checkpoints import manager as keeping

KEY = "f" * 64


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is being written is finished, however busy the machine is."""
    monkeypatch.setattr(keeping, "_PATIENCE_S", HANG_S)


@pytest.fixture
def snapshot() -> Callable[..., Snapshot]:
    def make(step: int, size: int = 1000) -> Snapshot:
        numbers = np.random.default_rng(step).normal(size=size).astype("float32")
        return Snapshot(facts={"step": step}, arrays={"network": [numbers]})

    return make


@pytest.fixture
def keep() -> Callable[..., None]:
    """Write snapshots, one after the other, each to its end."""

    def write(checkpoints: Checkpoints, *snapshots: Snapshot) -> None:
        for one in snapshots:
            with checkpoints:
                checkpoints.write(lambda one=one: one)

    return write


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Checkpoints]:
    def make(place: Path | str = tmp_path / "place", key: str = KEY) -> Checkpoints:
        checkpoints = Checkpoints(place, every_s=0)
        checkpoints.open(key)
        return checkpoints

    return make
