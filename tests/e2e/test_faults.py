"""A whole run whose MLflow server is killed in the middle of the training."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.waiting import HANG_S
from pipeline.__main__ import app
from seglib.tracking.mlflow_client import connect
from tests.e2e.conftest import Runs
from tests.fakes.servers import MlflowServer
from tests.fakes.steps import Store

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
    server: MlflowServer,
    tiny_root: Path,
    tmp_path: Path,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    back: bool,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    runs = Runs(tmp_path / "runs", repository)
    process = runs.start(tiny_root, epochs=EPOCHS)
    guard = threading.Timer(HANG_S, process.kill)
    guard.start()
    text = ""
    for line in process.stdout or ():
        text += line
        if "epoch 20/" in line:
            server.kill()
        if back and "epoch 40/" in line:
            server.start()
    guard.cancel()
    run = runs.finish(process, text)
    assert run.status == 0, run.text
    if not back:
        assert f"python -m pipeline track {run.folder}" in run.text
        server.start()
        done = CliRunner().invoke(app, ["track", str(run.folder)])
        assert done.exit_code == 0, done.output
    assert run.json("tracking.json")["left"] == ""
    store = Store(server.uri, connect(server.uri))
    row = store.row(run.folder.name)
    assert row.info.status == "FINISHED"
    history = run.json("model/history.json")
    assert len(history) == EPOCHS
    for name in ("loss", "val_miou"):
        wanted = [r["epoch"] for r in history if r.get(name) is not None]
        assert sorted(step for step, _ in store.curve(row, f"curves/{name}")) == wanted
