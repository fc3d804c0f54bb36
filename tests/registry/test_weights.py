"""Weights by address: a real SQLite registry, a real S3 server, and this machine."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest

from seglib.config import ModelConfig
from seglib.environment import CACHE, TRACKING_URI
from seglib.errors import SegError, UsageError
from seglib.models import build_model
from seglib.models.contract import CONTRACT, NETWORK
from seglib.registry.champion import Registry
from seglib.registry.weights import fetch_weights, pin_weights
from seglib.storage.files import file_sha256, model_digest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = build_model("unet_mini", num_classes=5, image_size=(32, 32))
    return model.save(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture(scope="module")
def in_s3(folder: Path, s3_server: str) -> str:
    client = boto3.client("s3")
    for name in (CONTRACT, NETWORK):
        client.upload_file(str(folder / name), "datasets", f"nets/first/{name}")
    client.put_object(Bucket="datasets", Key="nets/first-of-all/x", Body=b"other")
    return "s3://datasets/nets/first"


@pytest.fixture(scope="module")
def registry(
    folder: Path,
    new_store: Callable[[], Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Registry:
    """A registered model `net`, whose alias `good` is version 1."""
    store = new_store()
    artifacts = tmp_path_factory.mktemp("artifacts").as_uri()
    experiment = store.client.create_experiment("weights", artifact_location=artifacts)
    run = store.client.create_run(experiment).info.run_id
    found = Registry(store.uri)
    for state in ("waiting", "held"):
        logged = store.client.create_logged_model(experiment, name="model")
        store.client.log_model_artifacts(logged.model_id, str(folder))
        store.client.finalize_logged_model(logged.model_id, "READY")
        tags = {"against": 0, "state": state, "model_digest": model_digest(folder)}
        found.register("net", model_id=logged.model_id, run_id=run, tags=tags)
    store.client.set_registered_model_alias("net", "good", "1")
    return found


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def fetched(address: str, **options: Any) -> Any:
    found = fetch_weights(address, **options)
    assert not isinstance(found, str)
    return found


def test_a_models_folder_comes_from_s3_once_and_is_checked(
    in_s3: str, folder: Path, own_cache: Path
) -> None:
    found = fetched(in_s3)
    assert str(found) == in_s3
    assert found.sha256 == model_digest(folder)
    assert {path.name for path in found.path.iterdir()} == {CONTRACT, NETWORK}
    network = found.path / NETWORK
    before = network.stat().st_mtime_ns
    assert fetched(in_s3).path == found.path
    assert network.stat().st_mtime_ns == before, "it was not fetched again"
    network.write_bytes(b"damaged")
    assert fetched(in_s3).sha256 == found.sha256, "what is damaged is fetched again"


def test_a_file_comes_from_s3(in_s3: str, folder: Path) -> None:
    found = fetched(f"{in_s3}/{NETWORK}")
    assert found.sha256 == file_sha256(folder / NETWORK)


def test_a_changed_object_is_fetched_anew(s3_server: str) -> None:
    client, digests = boto3.client("s3"), set()
    for body in (b"one", b"three"):
        client.put_object(Bucket="datasets", Key="changing/w.h5", Body=body)
        digests.add(fetched("s3://datasets/changing/w.h5").sha256)
    assert len(digests) == 2


def test_what_is_not_in_s3_is_named(s3_server: str) -> None:
    with pytest.raises(SegError, match=r"s3://datasets/no/such: there is no such obj"):
        fetch_weights("s3://datasets/no/such")
    with pytest.raises(SegError, match="bucket"):
        fetch_weights("s3://no-such-bucket/a/b")


def test_an_alias_and_a_number_lead_to_the_model(
    registry: Registry, folder: Path
) -> None:
    for address in ("models:/net@good", "models:/net/1"):
        found = fetched(address, uri=registry.uri)
        assert str(found) == "models:/net/1"
        assert found.sha256 == model_digest(folder)


def test_what_the_registry_lacks_is_answered_with_the_nearest_name(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRACKING_URI, registry.uri)
    for address, said in {
        "models:/ned@good": "Unknown registered model: `ned`. Did you mean `net`?",
        "models:/net@god": "Unknown alias of the model `net`: `god`. Did you mean `goo",
        "models:/net/7": "Unknown version of the model `net`: `7`. Expected one of: 1",
        "models:/net": "expects `models:/name@alias` or `models:/name/3`",
    }.items():
        with pytest.raises(UsageError) as told:
            fetch_weights(address)
        assert said in str(told.value)


def test_without_mlflow_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TRACKING_URI, raising=False)
    with pytest.raises(UsageError, match=f"not configured. Set {TRACKING_URI}"):
        fetch_weights("models:/net@good")


def test_a_model_that_is_not_the_registered_one_is_refused(
    registry: Registry,
) -> None:
    version = registry.get("net", 2)
    registry.tag(version, {"model_digest": "0" * 64})
    with pytest.raises(SegError, match=r"models:/net/2: not the model that was reg"):
        fetch_weights("models:/net/2", uri=registry.uri)


def test_an_alias_that_moves_is_another_training(registry: Registry) -> None:
    config = ModelConfig(weights="models:/net@good")
    pinned = pin_weights(config, uri=registry.uri)
    assert pinned.weights == "models:/net/1"
    assert pinned.weights_sha256 == fetched("models:/net/1", uri=registry.uri).sha256
    assert pin_weights(pinned) == pinned, "it is not looked up again"
    assert pin_weights(ModelConfig(weights="imagenet")).weights_sha256 == ""


def test_all_but_the_head_is_taken_and_told(
    in_s3: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = fetched(in_s3)
    with caplog.at_level("INFO", logger="seglib"):
        model = build_model(
            "unet_mini",
            num_classes=3,
            image_size=(32, 32),
            weights=found,
            weights_sha256=found.sha256,
        )
    assert "; not loaded, because they differ or are missing: head/kernel, head/" in (
        caplog.text
    )
    assert model.contract.first_weights == f"{in_s3} (sha256 {found.sha256})"
    assert "first_weights" in model.contract.to_json()
    other = build_model("unet_mini", num_classes=3, image_size=(32, 32), weights=folder)
    for mine, theirs in zip(
        model.network.get_layer("encoder").get_weights(),
        other.network.get_layer("encoder").get_weights(),
        strict=True,
    ):
        assert np.array_equal(mine, theirs)


def test_an_address_in_python_is_answered_with_the_call_that_fetches_it() -> None:
    with pytest.raises(UsageError, match=r"seglib\.fetch_weights\('s3://a/b'\)"):
        build_model("unet_mini", num_classes=2, image_size=(32, 32), weights="s3://a/b")


def test_a_model_of_another_digest_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    with pytest.raises(SegError, match="not the weights that `weights_sha256` names"):
        build_model(
            "unet_mini",
            num_classes=5,
            image_size=(32, 32),
            weights=copy,
            weights_sha256="00ff",
        )
