"""What the container runner is told."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.local.containers import docker_runner


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def settings(tmp_path: Path, remote: str = "s3://bucket/data") -> dict[str, Any]:
    runner = docker_runner(tmp_path / "runs" / "r1", remote=remote, told={"A": "b"})
    return dict(runner.container_run_args)


def test_a_containers_paths_are_the_hosts_and_the_data_cannot_be_written(
    tmp_path: Path, cache: Path
) -> None:
    runs, data = str(tmp_path / "runs"), str(tmp_path / "scenes")
    mounts = {mount["Source"]: mount for mount in settings(tmp_path, data)["mounts"]}
    assert mounts.keys() == {runs, str(cache), data}
    assert all(mount["Target"] == source for source, mount in mounts.items())
    assert [s for s, mount in mounts.items() if mount["ReadOnly"]] == [data]


def test_a_bucket_is_not_mounted_and_its_credentials_go_along(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    given = settings(tmp_path)
    assert len(given["mounts"]) == 2
    assert given["environment"]["AWS_SECRET_ACCESS_KEY"] == "secret"
    assert given["environment"]["A"] == "b"


@pytest.mark.parametrize(
    ("uri", "network"),
    [
        ("http://user:secret@127.0.0.1:5000", "host"),
        ("https://mlflow.example.org", None),
        ("sqlite:////runs/mlflow.db", None),
    ],
)
def test_a_tracking_server_on_this_machine_is_reached_from_a_container(
    uri: str,
    network: str | None,
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    given = settings(tmp_path)
    assert given.get("network_mode") == network
    assert given["environment"]["MLFLOW_TRACKING_URI"] == uri


def test_files_belong_to_the_caller_and_containers_are_found_by_their_run(
    tmp_path: Path, cache: Path
) -> None:
    given, owner = settings(tmp_path), tmp_path.stat()
    assert given["user"] == f"{owner.st_uid}:{owner.st_gid}"
    assert given["labels"] == {"seglib.run": "r1"}
