"""What the container runner is told."""

from pathlib import Path

import pytest

from pipeline.local.containers import container_settings, docker_runner, network_to


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_containers_paths_are_the_hosts_and_the_data_cannot_be_written(
    tmp_path: Path, cache: Path
) -> None:
    data = str(tmp_path / "scenes")
    settings = container_settings("r1", runs=tmp_path / "runs", remote=data)
    runner = docker_runner(**settings).container_run_args
    mounts = {mount["Source"]: mount for mount in runner["mounts"]}
    assert mounts.keys() == {str(tmp_path / "runs"), str(cache), data}
    assert all(mount["Target"] == source for source, mount in mounts.items())
    assert [s for s, mount in mounts.items() if mount["ReadOnly"]] == [data]


def test_a_bucket_is_not_mounted_and_its_credentials_go_along(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    settings = container_settings("r1", runs=tmp_path, remote="s3://bucket/data")
    assert settings["mounts"].keys() == {str(tmp_path), str(cache)}
    environment = docker_runner(**settings).container_run_args["environment"]
    assert environment["AWS_SECRET_ACCESS_KEY"] == "secret"
    assert "secret" not in str(settings), "these are written to a file"


def test_a_tracking_server_on_this_machine_is_reached_from_a_container(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = "http://user:secret@127.0.0.1:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    settings = container_settings("r1", runs=tmp_path, remote="s3://b")
    settings["network"] = network_to(uri)
    assert "secret" not in str(settings), "these are written to a file"
    runner = docker_runner(**settings).container_run_args
    assert runner["network_mode"] == "host"
    assert runner["environment"]["MLFLOW_TRACKING_URI"] == uri
    assert network_to("https://mlflow.example.org") == ""
    assert network_to("sqlite:////runs/mlflow.db") == ""


def test_files_belong_to_the_caller_and_containers_are_found_by_their_run(
    tmp_path: Path, cache: Path
) -> None:
    settings = container_settings("r1", runs=tmp_path, remote="s3://b")
    owner = tmp_path.stat()
    assert settings["user"] == f"{owner.st_uid}:{owner.st_gid}"
    assert settings["labels"] == {"seglib.run": "r1"}
