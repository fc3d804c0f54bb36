import http.server
import threading
import urllib.request
from collections.abc import Iterator

import boto3
import pytest

from seglib.errors import SegError, UsageError
from seglib.storage import fetch, manifest_entries, missing_files, read_pin, with_sizes
from seglib.storage.backends import s3

BUCKET = "datasets"


@pytest.fixture
def data_md5(pinned) -> str:
    return read_pin(pinned.repository / "data.dvc")


def test_a_missing_object_in_a_bucket_is_named(pinned, data_md5, tmp_path, s3_server):
    client = boto3.client("s3")
    key = (
        "some/prefix/files/md5/" + "d4/1d8cd98f00b204e9800998ecf8427e"
    )  # the empty file
    client.delete_object(Bucket=BUCKET, Key=key)
    try:
        with pytest.raises(
            SegError, match=rf"empty.png: s3://{BUCKET}/{key} is missing"
        ):
            fetch(data_md5, pinned.s3, cache=tmp_path)
    finally:
        client.put_object(Bucket=BUCKET, Key=key, Body=b"")


def test_a_damaged_object_in_a_bucket_is_named(pinned, data_md5, tmp_path, s3_server):
    client = boto3.client("s3")
    key = "some/prefix/files/md5/" + "d4/1d8cd98f00b204e9800998ecf8427e"
    client.put_object(Bucket=BUCKET, Key=key, Body=b"not empty")
    try:
        with pytest.raises(SegError, match=r"is damaged. Expected md5: d41d8cd98f"):
            fetch(data_md5, pinned.s3, cache=tmp_path)
    finally:
        client.put_object(Bucket=BUCKET, Key=key, Body=b"")


@pytest.mark.parametrize("way", ["asked one by one", "listed"])
def test_sizes_are_known_without_reading(pinned, data_md5, s3_server, monkeypatch, way):
    monkeypatch.setattr(s3, "_PLACES", 0 if way == "listed" else 256)
    entries = manifest_entries(data_md5, pinned.s3)
    sized = {entry.path: entry.size for entry in with_sizes(entries, pinned.s3)}
    assert sized == {path: len(content) for path, content in pinned.files.items()}


@pytest.mark.parametrize("way", ["asked one by one", "listed"])
def test_what_was_not_pushed_is_named(pinned, data_md5, s3_server, monkeypatch, way):
    monkeypatch.setattr(s3, "_PLACES", 0 if way == "listed" else 256)
    assert missing_files(data_md5, pinned.s3) == []
    client, md5 = boto3.client("s3"), "d41d8cd98f00b204e9800998ecf8427e"
    key = f"some/prefix/files/md5/{md5[:2]}/{md5[2:]}"
    client.delete_object(Bucket=BUCKET, Key=key)
    try:
        assert missing_files(data_md5, pinned.s3) == [f"test_images/empty.png ({md5})"]
    finally:
        client.put_object(Bucket=BUCKET, Key=key, Body=b"")


def test_a_bucket_that_does_not_exist_is_named(data_md5, tmp_path, s3_server):
    with pytest.raises(
        SegError, match=r"s3://nobody/x/.*NoSuchBucket.*Check the remote"
    ):
        fetch(data_md5, "s3://nobody/x", cache=tmp_path)


def test_a_remote_without_bucket_is_refused(data_md5, s3_server):
    with pytest.raises(UsageError, match=r"names no bucket"):
        fetch(data_md5, "s3://", cache=None)


def test_missing_credentials_say_what_to_set(
    pinned, data_md5, tmp_path, monkeypatch, s3_server
):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(
        SegError, match=r"Unable to locate credentials. Set AWS_ACCESS_KEY"
    ):
        fetch(data_md5, pinned.s3, cache=tmp_path)


def test_refused_credentials_say_which_permissions_are_needed(
    pinned, data_md5, tmp_path, s3_server
):
    def check_credentials_after(requests: int) -> None:
        request = urllib.request.Request(
            f"{s3_server}/moto-api/reset-auth",
            data=str(requests).encode(),
            headers={"Content-Type": "text/plain"},
        )
        urllib.request.urlopen(request).close()

    check_credentials_after(0)
    try:
        with pytest.raises(SegError, match=r"InvalidAccessKeyId.*need s3:GetObject"):
            fetch(data_md5, pinned.s3, cache=tmp_path)
    finally:
        check_credentials_after(10**9)


def test_a_profile_that_does_not_exist_is_one_line(
    pinned, data_md5, tmp_path, monkeypatch, s3_server
):
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(SegError, match=r"profile \(nobody\).*AWS_PROFILE"):
        fetch(data_md5, pinned.s3, cache=tmp_path)


def test_an_address_that_is_none_is_one_line(pinned, data_md5, monkeypatch, s3_server):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "no address")
    with pytest.raises(SegError, match=r"Invalid endpoint.*Check AWS_ENDPOINT_URL"):
        fetch(data_md5, pinned.s3)


class _BreaksOff(http.server.BaseHTTPRequestHandler):
    """Promises a hundred bytes, sends four and hangs up."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"half")

    def log_message(self, *args: object) -> None:
        """Stay quiet."""


@pytest.fixture
def flaky_server() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _BreaksOff)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_connection_that_breaks_off_is_tried_again_and_then_named(
    pinned, data_md5, tmp_path, monkeypatch, flaky_server
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", flaky_server)
    with pytest.raises(SegError, match=r"the connection broke off 3 times"):
        fetch(data_md5, pinned.s3, cache=tmp_path)
