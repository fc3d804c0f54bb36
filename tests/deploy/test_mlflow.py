"""MLflow as the manifests start it: PostgreSQL behind it, artifacts passed on."""

import http.client
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.seaweedfs import environment as of_store
from benchmarks.seaweedfs import seaweedfs
from benchmarks.waiting import HANG_S, wait_for_answer
from tests.deploy.running import command, start
from tests.fakes.postgres import database
from tests.fakes.servers import free_port

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address; the init container's command has run before."""
    import boto3

    folder = tmp_path_factory.mktemp("mlflow")
    pod = built("base").pod("Deployment/seglib-mlflow")
    (upgrade, mlflow) = pod.containers
    port = str(free_port())
    told = {
        variable["name"]: variable["value"]
        for variable in mlflow["env"]
        if "value" in variable
    }
    with database() as uri, seaweedfs(folder / "s3") as store:
        known = of_store(store)
        boto3.client(
            "s3",
            endpoint_url=store,
            aws_access_key_id=known["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=known["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
        ).create_bucket(Bucket=told["MLFLOW_ARTIFACTS_DESTINATION"][len("s3://") :])
        assert told["MLFLOW_BACKEND_STORE_URI"].startswith("postgresql+pg8000://")
        variables = {**told, **known, "MLFLOW_BACKEND_STORE_URI": uri}
        places = {
            "--host=0.0.0.0": "--host=127.0.0.1",
            "--port=5000": f"--port={port}",
            "exec mlflow": f"exec {sys.executable} -m mlflow",
        }
        for _ in range(2):  # on an empty database, and on one that is up to date
            done = start(command(upgrade, {}, places), variables, folder / "log")
            assert done.wait(HANG_S) == 0, (folder / "log").read_text()
        words = command(mlflow, variables, places)
        process = start(words, variables, folder / "log")
        try:
            address = f"http://127.0.0.1:{port}/health"
            wait_for_answer(address, process, log=folder / "log")
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def test_probes_pass_with_the_pods_address_as_the_host(built, server: str) -> None:
    (mlflow,) = built("base").pod("Deployment/seglib-mlflow").lasting
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        path = mlflow[probe]["httpGet"]["path"]
        assert _status(server, path, "10.244.0.7:5000") == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("seglib-mlflow:5000", 200),
        ("seglib-mlflow.kubeflow.svc:5000", 200),
        ("seglib-mlflow.kubeflow.svc.cluster.local:5000", 200),
        ("localhost:5000", 200),
        ("localhost:18080", 200),
        ("attacker.example.com", 403),
    ],
)
def test_only_the_servers_own_names_are_answered(
    server: str, host: str, status: int
) -> None:
    path = "/api/2.0/mlflow/experiments/get?experiment_id=0"
    assert _status(server, path, host) == status


def test_artifacts_need_no_keys_of_s3(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    # By the name that port-forwarding uses, which the server accepts.
    client = MlflowClient(f"http://localhost:{server.split(':')[1]}")
    run = client.create_run(client.create_experiment("deployed"))
    (tmp_path / "report.html").write_text("<p>report")
    client.log_metric(run.info.run_id, "miou", 0.5)
    client.log_artifact(run.info.run_id, str(tmp_path / "report.html"))
    there = client.download_artifacts(run.info.run_id, "report.html", str(tmp_path))
    assert Path(there).read_text() == "<p>report"
    assert client.get_run(run.info.run_id).data.metrics == {"miou": 0.5}
    assert run.info.artifact_uri.startswith("mlflow-artifacts:/")


def _status(server: str, path: str, host: str) -> int:
    connection = http.client.HTTPConnection(server, timeout=HANG_S)
    try:
        connection.request("GET", path, headers={"Host": host})
        return connection.getresponse().status
    finally:
        connection.close()
