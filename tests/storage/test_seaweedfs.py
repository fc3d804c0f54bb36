"""Against an S3 server that checks credentials, with DVC itself on the other side."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from benchmarks.seaweedfs import environment, seaweedfs
from benchmarks.waiting import HANG_S
from seglib.errors import SegError
from seglib.storage.backends import ChangedObjectError
from seglib.storage.fetching import fetch
from seglib.storage.hashes import hash_folder
from seglib.storage.pins import read_pin
from seglib.storage.pointers import latest
from seglib.storage.publishing import fetch_published, publish
from seglib.storage.remotes import open_remote
from tests.fakes.contents import contents
from tests.fakes.dvc_files import write_pin

BUCKET = "datasets"
REMOTE = f"s3://{BUCKET}/of/dvc"
_DVC = """
import sys
from dvc.cli import main
for command in sys.argv[1:]:
    if main(command.split()):
        sys.exit(command)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        with seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as address:
            yield address
    except FileNotFoundError as error:
        pytest.skip(f"{error}. To run it: install that.")


@pytest.fixture(scope="module")
def repository(server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset that DVC added and pushed to the server."""
    root = tmp_path_factory.mktemp("repository")
    for number in range(20):
        for part in ("images", "segmentation"):
            path = root / "data" / f"train_{part}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{part} {number}".encode() * number * 50)
    (root / "data" / "big.bin").write_bytes(bytes(range(256)) * 80_000)  # 20 MB
    client = boto3.client("s3", **_client(server))
    client.create_bucket(Bucket=BUCKET)
    _dvc(
        root,
        server,
        "init --quiet --no-scm",
        f"remote add --quiet --default s3 {REMOTE}",
        "add --quiet data",
        "push --quiet",
    )
    return root


@pytest.fixture
def store(server, repository, monkeypatch):
    """The server's credentials in the environment; gives a client of boto3."""
    for name, value in environment(server).items():
        monkeypatch.setenv(name, value)
    return boto3.client("s3")


def _client(server: str) -> dict[str, str]:
    variables = environment(server)
    return {
        "endpoint_url": server,
        "aws_access_key_id": variables["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": variables["AWS_SECRET_ACCESS_KEY"],
        "region_name": variables["AWS_DEFAULT_REGION"],
    }


def _dvc(root: Path, server: str, *commands: str) -> None:
    apart = {"DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR", "DVC_SITE_CACHE_DIR"}
    subprocess.run(
        [sys.executable, "-c", _DVC, *commands],
        cwd=root,
        env={
            **os.environ,
            **environment(server),
            **dict.fromkeys(apart, str(root / ".home")),
            "DVC_NO_ANALYTICS": "1",
        },
        check=True,
    )


def test_what_dvc_pushed_arrives_byte_for_byte(store, repository, tmp_path):
    root = fetch(read_pin(repository / "data.dvc"), REMOTE, cache=tmp_path)
    assert contents(root) == contents(repository / "data")


def test_dvc_pulls_what_was_published(store, server, repository, tmp_path):
    published = publish(repository / "data", f"s3://{BUCKET}/ours")
    write_pin(tmp_path, published.key)
    _dvc(
        tmp_path,
        server,
        "init --quiet --no-scm",
        f"remote add --quiet --default s3 s3://{BUCKET}/ours",
        "config --quiet cache.type copy",
        "remote modify --quiet s3 verify true",
        "pull --quiet",
    )
    assert contents(tmp_path / "data") == contents(repository / "data")


def test_publishing_what_dvc_pushed_sends_nothing(store, repository):
    published = publish(repository / "data", REMOTE)
    assert published.key == read_pin(repository / "data.dvc")
    assert published.sent_files == 0


def test_wrong_credentials_are_named(store, repository, tmp_path, monkeypatch):
    data_md5 = read_pin(repository / "data.dvc")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(SegError, match=r"SignatureDoesNotMatch.*credentials in use"):
        fetch(data_md5, REMOTE, cache=tmp_path)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    with pytest.raises(SegError, match=r"InvalidAccessKeyId.*credentials in use"):
        publish(repository / "data", REMOTE)


def test_a_user_who_may_only_read_is_told_the_permissions_needed_to_write(
    store, server, repository, tmp_path, monkeypatch
):
    for name, value in environment(server, "reader").items():
        monkeypatch.setenv(name, value)
    fetch(read_pin(repository / "data.dvc"), REMOTE, cache=tmp_path)
    with pytest.raises(SegError, match=r"cannot be written.*AccessDenied.*PutObject"):
        publish(repository / "data", f"s3://{BUCKET}/elsewhere")


def test_of_swaps_at_once_none_is_lost(store, count_at_once):
    """Eight writers count to 40 together: from each state, one move wins."""
    assert count_at_once(open_remote(f"s3://{BUCKET}/swaps")) == 40


def test_a_large_file_is_stored_only_where_there_was_none(store, tmp_path):
    (tmp_path / "big").write_bytes(bytes(range(256)) * 70_000)  # three parts
    remote = open_remote(f"s3://{BUCKET}/large")
    remote.write("big", tmp_path / "big", if_absent=True)
    with pytest.raises(ChangedObjectError):
        remote.write("big", tmp_path / "big", if_absent=True)
    assert not store.list_multipart_uploads(Bucket=BUCKET).get("Uploads")


def test_publishers_at_once_lose_nothing(store, tmp_path):
    url = f"s3://{BUCKET}/publishers"
    command = (
        "import sys; from pathlib import Path\n"
        "from seglib.storage.publishing import publish\n"
        "for number in range(3):\n"
        "    Path(sys.argv[1], 'file').write_text(f'{sys.argv[1]} {number}')\n"
        f"    print(publish(Path(sys.argv[1]), {url!r}, name='m').key)\n"
    )
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
    both = [
        subprocess.Popen(
            [sys.executable, "-c", command, str(folder)],
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
            stdout=subprocess.PIPE,
            text=True,
        )
        for folder in folders
    ]
    told = [one.communicate(timeout=HANG_S)[0].split() for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert latest(url, "m").key in (told[0][-1], told[1][-1])
    for key in (*told[0], *told[1]):
        root = fetch_published(url, key, cache=tmp_path / "cache")
        assert hash_folder(root) == key
