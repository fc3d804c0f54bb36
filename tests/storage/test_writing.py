"""What remotes take: whole objects, checked; on demand only if nobody was faster."""

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest

from seglib.errors import SegError
from seglib.storage.backends import ChangedObjectError, MissingObjectError
from seglib.storage.backends.s3 import S3Remote
from seglib.storage.remotes import open_remote
from tests.storage.conftest import BUCKET

BIG = os.urandom(20_000_000)  # three parts


@pytest.fixture(params=["folder", "s3"])
def remote(request, tmp_path, s3_server):
    if request.param == "folder":
        return open_remote(str(tmp_path / "new" / "remote"), create=True)
    return open_remote(f"s3://{BUCKET}/writing/{tmp_path.name}")


def _bytes(remote, key):
    return b"".join(remote.chunks(key))


def test_what_is_written_is_read_back(remote, tmp_path):
    (tmp_path / "big").write_bytes(BIG)
    remote.write("a/small", b"small", md5=hashlib.md5(b"small").hexdigest())
    remote.write("a/big", tmp_path / "big", md5=hashlib.md5(BIG).hexdigest())
    remote.write("a/empty", b"")
    assert remote.read("a/small").content == b"small"
    assert _bytes(remote, "a/big") == BIG
    assert remote.sizes(["a/small", "a/big", "a/empty", "a/none"]) == {
        "a/small": 5,
        "a/big": len(BIG),
        "a/empty": 0,
    }


def test_an_object_is_replaced_and_deleted(remote):
    remote.write("a", b"one")
    first = remote.read("a").etag
    remote.write("a", b"two")
    second = remote.read("a")
    assert second.content == b"two"
    assert second.etag != first
    for _ in range(2):
        remote.delete("a")
    with pytest.raises(MissingObjectError):
        remote.read("a")
    with pytest.raises(ChangedObjectError):
        remote.write("a", b"new", if_match="0" * 32)


def test_only_the_first_of_many_conditional_writes_succeeds(remote):
    start = threading.Barrier(8)

    def write(number):
        start.wait()
        try:
            remote.write("lock", b"%d" % number, if_absent=True)
        except ChangedObjectError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(write, range(8)))
    assert sum(won) == 1
    assert remote.read("lock").content == b"%d" % won.index(True)


def test_a_file_that_changed_since_it_was_hashed_or_is_not_there_is_not_stored(
    remote, tmp_path
):
    for name, content in (("small", b"changed"), ("big", BIG)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SegError, match=rf"{name}: changed while.*Expected md5: 00"):
            remote.write("a", tmp_path / name, md5="0" * 32)
    with pytest.raises(SegError, match=r"gone"):
        remote.write("a", tmp_path / "gone")
    with pytest.raises(MissingObjectError):
        remote.read("a")
    if isinstance(remote, S3Remote):
        uploads = boto3.client("s3").list_multipart_uploads(
            Bucket=BUCKET, Prefix=remote.prefix
        )
        assert not uploads.get("Uploads"), "of the large file's parts"


def test_of_swaps_in_a_folder_none_is_lost(tmp_path, count_at_once):
    assert count_at_once(open_remote(str(tmp_path))) == 40
    assert {path.name for path in tmp_path.iterdir()} == {"count", ".partial"}
    assert [path.name for path in (tmp_path / ".partial").iterdir()] == ["lock"]
