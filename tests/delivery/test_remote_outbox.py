"""What a pod could not track reaches MLflow by the exit task, or by hand."""

import logging
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl
from typer.testing import CliRunner

from components.finalize import finalize
from components.gate_model import gate_model
from pipeline.__main__ import app
from seglib.delivery.outbox import RemoteOutbox
from seglib.delivery.sending import own_sender
from seglib.environment import CHECKPOINTS, EVENTS
from seglib.storage.remotes import open_remote
from tests.fakes.steps import final_status

INPUTS = ("manifest", "model", "evaluation")


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
    own_sender.cache_clear()  # the exit task is another process
    return f"left-{tmp_path.name}"


def close(chain: Any) -> None:
    identity = {"remote": chain.remote, "data_md5": chain.data_md5, "code_version": "1"}
    finalize.python_func(status=final_status("SUCCEEDED"), **identity)


def require_whole(store: Any, run: str) -> None:
    row = store.row(run)
    assert row.info.status == "FINISHED"
    assert row.data.tags["verdict"] == "hold"
    assert row.data.metrics["miou"] >= 0
    assert row.data.metrics["curves/loss"] > 0, "the curves, from the model's files"
    assert len(row.outputs.model_outputs) + len(row.inputs.model_inputs) == 1
    assert store.client.list_artifacts(row.info.run_id, "images")


@pytest.mark.parametrize("pod", ["folder"], indirect=True)
def test_the_exit_task_sends_the_unsent_events_of_the_gate(
    gated: str, chain: Any, pod: pytest.MonkeyPatch, store: Any
) -> None:
    remote = RemoteOutbox.of_run(gated)
    assert remote
    place = remote.place
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
    remote = RemoteOutbox.of_run(gated)
    assert remote
    place = remote.place
    pod.setattr("seglib.delivery.sending._LAST_FAILING_S", 1.0)
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
