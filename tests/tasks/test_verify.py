"""The verify step, and what of its counts reaches the remote."""

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from benchmarks.seaweedfs import environment, seaweedfs
from components.verify_data import verify_data
from seglib.data.image_io import MASK_DECODING
from seglib.data.versions import compare_versions
from seglib.storage.hashes import hash_folder
from tests.fakes.pushing import push
from tests.fakes.steps import Chain

BUCKET = "data"


@pytest.fixture
def remote(tiny_root: Path, tmp_path: Path) -> tuple[str, str, str]:
    """A folder remote with the scenes, and with all but one of them."""
    fewer = shutil.copytree(tiny_root, tmp_path / "fewer")
    for folder in ("train_images", "train_segmentation"):
        (fewer / folder / "train_0.png").unlink()
    root = tmp_path / "remote"
    return push(tiny_root, root), push(fewer, root), str(root)


@pytest.fixture
def verified(
    telling: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> Callable[[str, str], str]:
    """Run the step in a pod of its own; gives what it says."""
    caplog.set_level(logging.INFO)
    pods = iter(range(9))

    def verify(data_md5: str, remote: str) -> str:
        folder = tmp_path / f"pod-{next(pods)}"
        chain = Chain(folder, data_md5, remote)
        folder.mkdir()
        caplog.clear()
        with telling("run", folder / "events.jsonl") as patch:
            patch.setenv("SEGLIB_CACHE", str(folder / "cache"))
            chain.call(verify_data, ())
        assert Path(chain.artifacts["manifest"].path, "manifest.json").exists()
        return caplog.text

    return verify


def _uncounted(old: str, new: str, remote: str, cache: Path) -> tuple[int, int]:
    found = compare_versions(old, new, remote, cache=cache).classes
    assert found
    return found.uncounted


def test_counts_of_a_pod_serve_a_later_comparison(
    remote: tuple[str, str, str], verified: Callable[[str, str], str], tmp_path: Path
) -> None:
    new, old, url = remote
    assert (
        f"class counts are stored in {url}/seglib/class-counts/{MASK_DECODING}/"
        in verified(new, url)
    )
    assert _uncounted(old, new, url, tmp_path / "ci") == (0, 0)
    assert "class counts" not in verified(new, url)  # they are there
    assert not (tmp_path / "ci").exists()


def test_a_dataset_folder_is_not_changed(
    tiny_root: Path, verified: Callable[[str, str], str]
) -> None:
    data_md5 = hash_folder(tiny_root)
    assert "class counts" not in verified(data_md5, str(tiny_root))
    assert hash_folder(tiny_root) == data_md5


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as address:
            yield address
    except FileNotFoundError as error:
        pytest.skip(f"{error}. To run it: install that.")


def test_a_pod_with_read_only_access_verifies_without_storing_counts(
    remote: tuple[str, str, str],
    verified: Callable[[str, str], str],
    server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new, old, folder = remote
    url = f"s3://{BUCKET}/pinned"
    _act_as("writer", server, monkeypatch)
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    for path in (p for p in Path(folder).rglob("*") if p.is_file()):
        key = f"pinned/{path.relative_to(folder).as_posix()}"
        client.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())
    _act_as("reader", server, monkeypatch)
    told = verified(new, url)
    assert "class counts are not stored beside the data" in told
    assert "s3:PutObject" in told
    assert _uncounted(old, new, url, tmp_path / "ci") == (13, 14)
    _act_as("writer", server, monkeypatch)
    assert f"class counts are stored in {url}/seglib/" in verified(new, url)
    _act_as("reader", server, monkeypatch)
    assert _uncounted(old, new, url, tmp_path / "ci") == (0, 0)


def _act_as(user: str, server: str, patch: pytest.MonkeyPatch) -> None:
    for name, value in environment(server, user).items():
        patch.setenv(name, value)
