"""What a pod could not track reaches MLflow by the exit task, or by hand."""

import logging
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kfp import dsl
from typer.testing import CliRunner

from components.finalize import finalize
from components.gate_model import gate_model
from pipeline.__main__ import app
from seglib.delivery.pod import _own_outgoing
from seglib.delivery.remote_outbox import place_of
from seglib.environment import CHECKPOINTS, EVENTS
from seglib.storage.remotes import open_remote
from seglib.tracking.mlflow_client import connect

pytestmark = pytest.mark.filterwarnings(
    # MLflow's own use of SQLAlchemy.
    "ignore:The ``noload`` loader strategy is deprecated"
)
INPUTS = ("manifest", "model", "evaluation")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A store of this module's own: uri and client."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"
    client = connect(uri)
    yield SimpleNamespace(uri=uri, client=client)
    client._tracking_client.store._dispose_engine()


@pytest.fixture
def dead() -> Iterator[str]:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def pod(
    chain: Any, dead: str, s3_server: str, tmp_path: Path, request: Any
) -> Iterator[pytest.MonkeyPatch]:
    """The environment of a pod whose MLflow is dead."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(EVENTS, raising=False)
        patch.setenv("KFP_RUN_ID", f"left-{tmp_path.name}")
        patch.setenv("MLFLOW_TRACKING_URI", dead)
        patch.setenv(CHECKPOINTS, f"s3://datasets/{tmp_path.name}")
        if getattr(request, "param", "s3") == "folder":
            patch.setenv(CHECKPOINTS, str(tmp_path / "place"))
        yield patch


@pytest.fixture
def gated(chain: Any, pod: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The run of a gate that could send nothing, and whose files are gone."""
    artifacts = {}
    for name in INPUTS:
        shutil.copytree(chain.artifacts[name].path, tmp_path / "pod" / name)
        artifacts[name] = dsl.Artifact(name=name, uri=str(tmp_path / "pod" / name))
    gate = type(chain)(tmp_path / "pod", chain.data_md5, chain.remote, artifacts)
    gate.call(gate_model, INPUTS)
    shutil.rmtree(tmp_path / "pod")
    _own_outgoing.cache_clear()  # the exit task is another process
    return f"left-{tmp_path.name}"


def close(chain: Any) -> None:
    final = dsl.PipelineTaskFinalStatus(
        state="SUCCEEDED",
        pipeline_job_resource_name="",
        pipeline_task_name="",
        error_code=None,
        error_message=None,
    )
    finalize.python_func(
        status=final,
        remote=chain.remote,
        data_md5=chain.data_md5,
        code_version="1",
    )


def row_of(store: Any, run: str) -> Any:
    experiment = store.client.get_experiment_by_name("segmentation-training")
    (row,) = store.client.search_runs(
        [experiment.experiment_id], f"tags.`kfp.run_id` = '{run}'"
    )
    return store.client.get_run(row.info.run_id)


def require_whole(store: Any, run: str) -> None:
    row = row_of(store, run)
    assert row.info.status == "FINISHED"
    assert row.data.tags["verdict"] == "hold"
    assert row.data.metrics["miou"] >= 0
    assert row.data.metrics["loss"] > 0, "the curves, from the model's files"
    assert len(row.outputs.model_outputs) + len(row.inputs.model_inputs) == 1
    assert store.client.list_artifacts(row.info.run_id, "images")


@pytest.mark.parametrize("pod", ["folder", "s3"], indirect=True)
def test_the_exit_task_sends_the_unsent_events_of_the_gate(
    gated: str, chain: Any, pod: pytest.MonkeyPatch, store: Any
) -> None:
    place = place_of(gated)
    assert open_remote(place).read("gate.jsonl").content
    pod.setenv("MLFLOW_TRACKING_URI", store.uri)
    close(chain)
    require_whole(store, gated)
    assert not left_in(place)


def test_the_unsent_events_of_the_exit_task_are_sent_by_hand(
    gated: str,
    chain: Any,
    pod: pytest.MonkeyPatch,
    store: Any,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    place = place_of(gated)
    pod.setattr("seglib.delivery.pod._LAST_FAILING_S", 1.0)
    with caplog.at_level(logging.WARNING):
        close(chain)
    command = ["track", place]
    assert f"python -m pipeline {' '.join(command)}" in caplog.text
    pod.setenv("MLFLOW_TRACKING_URI", store.uri)
    pod.chdir(tmp_path)
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert ", 0 left" in done.stdout
    require_whole(store, gated)
    assert not left_in(place)
    again = CliRunner().invoke(app, command)
    assert "no events wait there" in str(again.exception)


def left_in(place: str) -> list[str]:
    """The names of all that is left of a run."""
    import boto3

    if "://" not in place:
        return [str(path) for path in Path(place).rglob("*")]
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    listed = boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/")
    return [found["Key"] for found in listed.get("Contents", [])]
