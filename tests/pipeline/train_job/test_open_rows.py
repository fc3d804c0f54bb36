"""Runs whose training in several pods is over: a real store, and recorded jobs."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.__main__ import app
from seglib.delivery.recorder import Recorder
from seglib.tracking.mlflow_client import connect
from tests.fakes.train_job_api import TrainJobApi

pytestmark = pytest.mark.filterwarnings(
    # MLflow's own use of SQLAlchemy.
    "ignore:The ``noload`` loader strategy is deprecated"
)
JOB = "train-43fd10e-105973d-cdf37fa9"
OTHERS = {
    "A-complete": "train-43fd10e-105973d-20c99f3d",
    "E-failed": "train-43fd10e-105973d-92a69a45",
}
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    uri = f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"
    client = connect(uri)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        yield client
    client._tracking_client.store._dispose_engine()


@pytest.fixture
def row(client: Any, tmp_path: Path) -> Callable[..., Any]:
    """The row of a job whose training runs since an hour: reads it, and its step's."""
    tracker = Recorder(client.tracking_uri, warn=pytest.fail)

    def read(name: str, *, sign_ms: int = HOUR_MS, begin: bool = True) -> list[str]:
        then = time.time_ns() // 1_000_000 - sign_ms
        head = {"run": name, "time_ms": then}
        identity = {"parameters": {}, "data_md5": "d", "code_version": "c"}
        origin = {"train": {"run_id": name, "folder": "f"}}
        step = {"step": "train", "lineage": origin, **head}
        tags = {"train_job": f"kubeflow/{name}"}
        if begin:
            tracker.apply({"kind": "open", **identity, "tags": tags, **head})
            tracker.apply({"kind": "started", **step})
        load = {"system/cpu_utilization_percentage": 50.0}
        tracker.apply({"kind": "load", "number": then, "values": load, **step})
        return statuses(client, name)

    return read


def track(api: TrainJobApi, folder: Path) -> str:
    with pytest.MonkeyPatch.context() as patch:
        api.use(patch, folder)
        done = CliRunner().invoke(app, ["track"], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def statuses(client: Any, name: str) -> list[str]:
    """Of the row and of its step."""
    ids = [client.get_experiment_by_name("segmentation-training").experiment_id]
    (row,) = client.search_runs(ids, f"tags.`train_job` = 'kubeflow/{name}'")
    steps = client.search_runs(ids, f"tags.`mlflow.parentRunId` = '{row.info.run_id}'")
    return [row.info.status, *(step.info.status for step in steps)]


def test_the_row_of_a_deleted_job_is_closed_as_killed(
    row: Any, client: Any, tmp_path: Path
) -> None:
    """As in D-seed3-deleted of the recordings, where row and step stayed RUNNING."""
    assert row(JOB) == ["RUNNING", "RUNNING"]
    with TrainJobApi("D-running") as api:
        api.there()
        assert "stays open: train-" in track(api, tmp_path)
        assert statuses(client, JOB) == ["RUNNING", "RUNNING"]
    with TrainJobApi() as api:
        assert f"{JOB}: closed as KILLED: {JOB} is gone" in track(api, tmp_path)
        assert statuses(client, JOB) == ["KILLED", "KILLED"]
        assert "no row of a training in several pods is open" in track(api, tmp_path)


@pytest.mark.parametrize(
    ("moment", "status"), [("A-complete", "FINISHED"), ("E-failed", "FAILED")]
)
def test_a_row_whose_job_has_ended_is_closed_as_that_did(
    row: Any, client: Any, tmp_path: Path, moment: str, status: str
) -> None:
    name = OTHERS[moment]
    row(name)
    with TrainJobApi(moment) as api:
        api.there()
        assert f"closed as {status}" in track(api, tmp_path)
    assert statuses(client, name)[0] == status


def test_a_row_that_was_told_something_of_late_stays_open(
    row: Any, client: Any, tmp_path: Path
) -> None:
    """Kubernetes may be that of another cluster."""
    name = "train-0123456-fresh"
    row(name)
    row(name, sign_ms=60_000, begin=False)
    with TrainJobApi() as api:
        assert "stays open: it was told something 1 minute(s) ago" in track(
            api, tmp_path
        )
        assert api.asked == []
    assert statuses(client, name) == ["RUNNING", "RUNNING"]


def test_where_kubernetes_does_not_know_such_jobs_every_row_stays_open(
    row: Any, client: Any, tmp_path: Path
) -> None:
    name = "train-0123456-elsewhere"
    row(name)
    with TrainJobApi(has_trainer=False) as api:
        printed = track(api, tmp_path)
    assert f"{name}: stays open: " in printed
    assert "knows no TrainJobs" in printed
    assert statuses(client, name) == ["RUNNING", "RUNNING"]
