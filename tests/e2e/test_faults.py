"""A whole run whose MLflow server is killed in the middle of the training."""

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.waiting import HANG_S
from seglib.tracking.mlflow_client import connect
from tests.e2e.conftest import SETTINGS
from tests.fakes.servers import MlflowServer

pytestmark = pytest.mark.slow
EPOCHS = 60


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MlflowServer]:
    store = request.param and request.getfixturevalue(request.param)
    server = MlflowServer(tmp_path, store=store)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def postgresql() -> Iterator[str]:
    """The address of a fresh PostgreSQL database on this machine."""
    from tests.fakes.postgres import database

    with database() as uri:
        yield uri


@pytest.mark.parametrize(
    ("server", "back"),
    [("", True), ("", False), ("postgresql", True)],
    indirect=["server"],
    ids=["back", "later", "back on PostgreSQL"],
)
def test_a_run_whose_server_is_killed_loses_no_metric(
    server: MlflowServer, tiny_root: Path, tmp_path: Path, repository: Path, back: bool
) -> None:
    runs = tmp_path / "runs"
    settings = {**SETTINGS, "epochs": EPOCHS}
    environment = {**os.environ, "COLUMNS": "200", "MLFLOW_TRACKING_URI": server.uri}
    command = [
        *(sys.executable, "-m", "pipeline", "run"),
        *("--data", str(tiny_root), "--runs", str(runs)),
        *(part for k, v in settings.items() for part in ("--set", f"{k}={v}")),
    ]
    process = subprocess.Popen(
        command,
        cwd=repository,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    guard = threading.Timer(HANG_S, process.kill)
    guard.start()
    text = ""
    with process:
        for line in process.stdout or ():
            text += line
            if "epoch 20/" in line:
                server.kill()
            if back and "epoch 40/" in line:
                server.start()
    guard.cancel()
    assert process.returncode == 0, text
    run = (runs / "latest").resolve()
    if not back:
        assert f"python -m pipeline track {run}" in text
        server.start()
        track = [sys.executable, "-m", "pipeline", "track", str(run)]
        subprocess.run(track, cwd=repository, env=environment, check=True)
    assert json.loads((run / "tracking.json").read_text())["left"] == ""
    lost, doubled = _lost_and_doubled(server.uri, run)
    print(f"lost metrics: {lost}, doubled: {doubled}")
    assert (lost, doubled) == (0, 0)


def _lost_and_doubled(uri: str, run: Path) -> tuple[int, int]:
    """Points of the curves in MLflow against those in the model's own history."""
    client: Any = connect(uri)
    experiment = client.get_experiment_by_name("segmentation-training").experiment_id
    (row,) = client.search_runs([experiment], f"tags.`kfp.run_id` = '{run.name}'")
    assert row.info.status == "FINISHED"
    lost = doubled = 0
    history = json.loads((run / "model" / "history.json").read_text())
    assert len(history) == EPOCHS
    for name in ("loss", "val_miou"):
        points = client.get_metric_history(row.info.run_id, name)
        there = Counter(point.step for point in points)
        wanted = {r["epoch"] for r in history if r.get(name) is not None}
        lost += len(wanted - there.keys())
        doubled += sum(there.values()) - len(there)
    return lost, doubled
