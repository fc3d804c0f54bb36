"""A training in several pods as containers of the image, and who takes it over."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from benchmarks.waiting import HANG_S, wait_until
from components.base import IMAGE
from pipeline.dag.cluster_config import ClusterConfig
from pipeline.dag.compile import compile_pipeline
from pipeline.train_job.plan import Training
from seglib.config import Config
from seglib.storage.publishing import publish
from tests.docker.pods import Pods
from tools.sample_scenes import write_sample_dataset

pytestmark = pytest.mark.docker

BUCKET = "s3://datasets"
PLACE = f"{BUCKET}/checkpoints"
NAME = "train-0123456-89abcdef"
SETTINGS = {
    "image_height": 64,
    "image_width": 96,
    "epochs": 12,
    "batch_size": 2,
    "learning_rate": 0.003,
}
STEPS = ("verify-data", "augment-data", "train-model")


@pytest.fixture
def network(engine: Any) -> Iterator[Any]:
    """One from which nothing but this machine is reached."""
    network = engine.networks.create("seglib-test-pods", internal=True)
    network.reload()
    yield network
    network.remove()


@pytest.fixture
def s3_for_pods(network: Any, s3_server: str) -> Iterator[str]:
    """The S3 server of the tests, at the address that this machine has there."""
    from moto.server import ThreadedMotoServer

    (subnet,) = network.attrs["IPAM"]["Config"]
    # What is stored is the process's own: both servers have the same.
    server = ThreadedMotoServer(subnet["Gateway"], port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def training(s3_server: str, tmp_path: Path) -> Training:
    write_sample_dataset(tmp_path, counts={"train": 6, "val": 2, "test": 2})
    remote = f"{BUCKET}/dvc"
    given = {
        "data_md5": publish(tmp_path, remote).key,
        "remote": remote,
        "code_version": "1",
    }
    return Training(
        image=IMAGE,
        parameters={**Config.from_flat(SETTINGS).flat(), **given},
        cluster=ClusterConfig(),
        nodes=2,
    )


@pytest.fixture
def pods(
    engine: Any, network: Any, training: Training, s3_for_pods: str
) -> Iterator[Pods]:
    given = {
        "AWS_ENDPOINT_URL": s3_for_pods,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "SEGLIB_CHECKPOINTS": PLACE,
        "MLFLOW_TRACKING_URI": "",
    }
    pods = Pods(engine, network, training, NAME, given)
    yield pods
    pods.remove()


def test_containers_train_together_and_the_pipelines_step_takes_it_over(
    pods: Pods, training: Training, tmp_path: Path
) -> None:
    # A pod that waits for one that is not there, nor has a name yet, can be stopped.
    (waiting,) = pods.start([0])
    _wait_for("waiting for", waiting)
    pods.stop(waiting)
    assert _ended(waiting)[0] == 143
    pods.remove()
    # The second round's pods: one is stopped in the middle; the first one comes late.
    (second,) = pods.start([1])
    _wait_for("waiting for", second)
    (first,) = pods.start([0])
    _wait_for("epoch 3/12", first)
    pods.stop(second)
    for pod in (first, second):
        status, log = _ended(pod)
        assert status == 143, log
        assert "SIGTERM" in log
    assert "whose state is kept" in _log(first)
    pods.remove()
    # They start again, and go on.
    (status, told), (other, rest) = map(_ended, pods.start([0, 1]))
    assert (status, other) == (0, 0), told + rest
    assert "going on after step" in told
    assert "epoch 1/12" not in told
    assert "epoch 12/12" in told
    assert f"trained; the outcome is kept in {PLACE}" in told
    assert "Found credentials" not in told, "botocore's, of no use to anybody"
    assert "process 2 of 2" in rest
    assert "epoch" not in rest
    listed = boto3.client("s3").list_objects_v2(Bucket="datasets", Prefix="checkpoints")
    assert any(one["Key"].endswith(".checkpoint") for one in listed["Contents"])
    pods.remove()
    # The pipeline's own steps, as it is compiled.
    step = pods.run(*_chain(training, tmp_path))
    status, log = _ended(step)
    assert status == 0, log
    assert f"trained before; the model is from {PLACE}" in log
    assert "training compact" not in log
    assert "history.json" in log


def _chain(training: Training, folder: Path) -> tuple[list[str], dict[str, str]]:
    """A shell that runs three compiled steps, and variables that hold their inputs."""
    document = folder / "pipeline.yaml"
    compile_pipeline(document, image=IMAGE, cluster=ClusterConfig(), allow_tag=True)
    spec = next(yaml.safe_load_all(document.read_text()))
    lines, variables = ["set -e", "mkdir /tmp/steps"], {}
    for number, name in enumerate(STEPS):
        container = spec["deploymentSpec"]["executors"][f"exec-{name}"]["container"]
        given = _executor_input(name, spec["components"][f"comp-{name}"], training)
        variables[f"INPUT_{number}"] = json.dumps(given)
        words = [*container["command"], *container["args"]]
        assert "{{$}}" in words
        line = (
            f'"$INPUT_{number}"' if word == "{{$}}" else shlex.quote(word)
            for word in words
        )
        lines.append(" ".join(line))
    lines.append("ls /tmp/steps/model")
    return ["sh", "-c", "\n".join(lines)], variables


def _executor_input(name: str, component: Any, training: Training) -> dict[str, Any]:
    """What KFP's launcher would hand over; an artifact lies in a folder of its name."""
    inputs, outputs = component["inputDefinitions"], component["outputDefinitions"]
    wanted = inputs["parameters"]
    given = {k: v for k, v in training.parameters.items() if k in wanted}
    taken = _artifacts(inputs.get("artifacts", {}))
    file = f"/tmp/{name}.json"
    return {
        "inputs": {"parameterValues": given, "artifacts": taken},
        "outputs": {"artifacts": _artifacts(outputs["artifacts"]), "outputFile": file},
    }


def _artifacts(definitions: Any) -> dict[str, Any]:
    return {
        name: {
            "artifacts": [
                {
                    "name": name,
                    "type": definition["artifactType"],
                    "uri": f"/tmp/steps/{name}",
                    "metadata": {},
                }
            ]
        }
        for name, definition in definitions.items()
    }


def _wait_for(words: str, pod: Any) -> None:
    def told_or_ended() -> bool:
        pod.reload()
        return pod.status == "exited" or words in _log(pod)

    wait_until(told_or_ended)
    assert words in _log(pod), _log(pod)


def _ended(pod: Any) -> tuple[int, str]:
    """Exit status and log."""
    status = pod.wait(timeout=HANG_S)["StatusCode"]
    return status, _log(pod)


def _log(pod: Any) -> str:
    return str(pod.logs().decode())
