"""A training in several pods, by the variables of its document, and who takes it over.

Here pods are processes of this machine, and an address takes the place of each name.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from benchmarks.waiting import HANG_S
from pipeline.dag.cluster_config import ClusterConfig
from pipeline.train_job.plan import Training
from pipeline.train_job.resources import documents
from seglib.config import Config
from seglib.storage.hashes import hash_folder
from seglib.tracking.mlflow_client import connect
from tests.e2e.conftest import SETTINGS, Runs
from tests.fakes.steps import Store

PLACE = "s3://datasets/checkpoints"
NAME = "train-0123456-89abcdef"


class Pods:
    """The pods of a job: their own command, their own variables."""

    def __init__(self, data: Path, folder: Path, repository: Path):
        self._folder, self._repository = folder, repository
        self._parameters = {
            **Config.from_flat(SETTINGS).flat(),
            "data_md5": hash_folder(data),
            "remote": str(data),
            "code_version": "1",
        }
        self.all: list[subprocess.Popen[str]] = []
        self.store = f"sqlite:///{folder}/mlflow.db"

    def start(self, pods: int, *, gpus: int = 0) -> list[subprocess.Popen[str]]:
        training = Training(
            image="seglib:cpu",
            parameters=self._parameters,
            cluster=ClusterConfig().with_step("train", gpus=gpus),
            nodes=pods,
            checkpoints=PLACE,
        )
        runtime = documents(training, NAME)[1]
        (job,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
        (container,) = job["template"]["spec"]["template"]["spec"]["containers"]
        processes = max(1, gpus)
        ports = _free_ports(pods * processes)[::processes]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        started = [self._pod(container, index, hosts) for index in range(pods)]
        self.all += started
        return started

    def _pod(
        self, container: dict[str, Any], index: int, hosts: str
    ) -> subprocess.Popen[str]:
        values = {one["name"]: one.get("value") for one in container["env"]}
        assert values["SEGLIB_HOST_INDEX"] is None, "the field of an annotation"
        stated = {name: value for name, value in values.items() if value is not None}
        program, *arguments = [*container["command"], *container["args"]]
        assert program == "python"
        return subprocess.Popen(
            [sys.executable, *arguments],
            env={
                **os.environ,
                **stated,
                "SEGLIB_HOSTS": hosts,
                "SEGLIB_HOST_INDEX": str(index),
                "SEGLIB_CACHE": str(self._folder / f"cache-{index}"),
                "MLFLOW_TRACKING_URI": self.store,
                "PYTHONPATH": str(self._repository),
            },
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture
def pods(
    tiny_root: Path, s3_server: str, tmp_path: Path, repository: Path
) -> Iterator[Pods]:
    pods = Pods(tiny_root, tmp_path, repository)
    yield pods
    for process in pods.all:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_training_of_several_pods_ends_in_the_pipelines_own_run(
    pods: Pods,
    tiny_root: Path,
    tmp_path: Path,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A pod of two GPUs, whose processes are told to end in the middle.
    (evicted,) = pods.start(1, gpus=2)
    _wait_for("epoch 2/6", evicted)
    evicted.send_signal(signal.SIGTERM)
    told, _ = evicted.communicate(timeout=HANG_S)
    assert evicted.returncode == 143, told
    assert "whose state is kept" in told
    # Two pods of one go on.
    together = pods.start(2)
    told, other = [pod.communicate(timeout=HANG_S)[0] for pod in together]
    assert [pod.returncode for pod in together] == [0, 0], told + other
    assert "going on after step" in told
    assert "epoch 6/6" in told
    assert "process 2 of 2" in other
    assert "epoch" not in other
    # The pipeline takes it over.
    monkeypatch.setenv("SEGLIB_CHECKPOINTS", PLACE)
    # With a cache of its own: another test's run may have trained the very same.
    run = Runs(tmp_path / "runs", repository).run(tiny_root)
    assert run.status == 0, run.text
    log = (run.folder / "pipeline.log").read_text()
    assert f"trained before; the model is from {PLACE}" in log
    assert "training unet" not in log
    assert "verdict" in run.text
    # The job's run and the pipeline's have the same points of each epoch.
    of_job = _points(pods.store, NAME)
    of_run = _points(f"sqlite:///{tmp_path}/runs/mlflow.db", run.folder.name)
    assert [epoch for epoch, _ in of_job] == [1, 2, 3, 4, 5, 6]
    assert of_run == of_job


def _points(uri: str, run: str) -> list[tuple[int, float]]:
    """The curve of a finished run: epochs and val mIoU."""
    store = Store(uri, connect(uri))
    row = store.row(run)
    assert row.info.status == "FINISHED"
    points = store.curve(row, "curves/val_miou")
    store.client._tracking_client.store._dispose_engine()
    return sorted(points)


def _wait_for(words: str, process: subprocess.Popen[str]) -> None:
    text = ""
    for line in process.stdout or ():
        text += line
        if words in line:
            return
    pytest.fail(text)


def _free_ports(count: int) -> list[int]:
    """Ports in a row, for the processes of a pod have such."""
    for _ in range(100):
        with socket.create_server(("127.0.0.1", 0)) as first:
            port = first.getsockname()[1]
        with ExitStack() as stack:
            try:
                for offset in range(count):
                    server = socket.create_server(("127.0.0.1", port + offset))
                    stack.enter_context(server)
            except OSError:
                continue
            return list(range(port, port + count))
    pytest.fail("no free ports in a row")
