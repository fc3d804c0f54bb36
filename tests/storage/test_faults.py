"""A store that fails, is slow or breaks off; a full disk; the same twice at once."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.retries.standard import ExponentialBackoff

from benchmarks.waiting import HANG_S
from seglib.errors import SegError
from seglib.storage.backends import ChangedObjectError
from seglib.storage.fetching import fetch
from seglib.storage.hashes import hash_folder
from seglib.storage.pointers import latest
from seglib.storage.publishing import fetch_published, publish
from seglib.storage.remotes import open_remote
from tests.fakes.contents import contents
from tests.fakes.s3_proxy import Proxy, proxy
from tests.storage.conftest import BUCKET


@pytest.fixture
def store(s3_server, monkeypatch) -> Iterator[Proxy]:
    """The S3 server, as seen through a proxy that makes it fail."""
    with proxy(s3_server) as front:
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
        monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.0)
        monkeypatch.setenv("AWS_ENDPOINT_URL", front.address)
        yield front


@pytest.fixture
def folder(tmp_path) -> Path:
    root = tmp_path / "export"
    root.mkdir()
    for number in range(3):
        (root / f"{number}").write_bytes(b"%d" % number * 1000)
    return root


@pytest.fixture
def large_file(folder) -> None:
    (folder / "large").write_bytes(bytes(9_000_000))  # two parts


def _keys(prefix: str) -> list[str]:
    found = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    return [item["Key"] for item in found.get("Contents", ())]


@pytest.mark.parametrize("fault", [500, 503, "lost", "short", "torn", "slow"])
def test_a_fetch_survives_what_passes(store, pinned, data_md5, tmp_path, fault):
    store.fault = lambda _, __, number: fault if number == 1 else ""
    root = fetch(data_md5, pinned.s3, cache=tmp_path)
    assert contents(root) == pinned.files


def test_a_body_that_broke_off_goes_on_where_it_was(store, pinned, data_md5, tmp_path):
    # The quick way asks for each object once, and for the listing never.
    store.fault = lambda _, path, number: (
        "short" if number < (3 if path.endswith(".dir") else 4) else ""
    )
    fetch(data_md5, pinned.s3, cache=tmp_path)
    big = len(pinned.files["train_images/deep/er/b.png"])
    assert f"bytes={big // 2}-" in store.ranges
    assert f"bytes={big * 3 // 4}-" in store.ranges


def test_a_store_that_fails_for_good_is_named(store, pinned, data_md5, tmp_path):
    store.fault = lambda *_: 503
    with pytest.raises(SegError, match=r"s3://.*\.dir: cannot be read.*overloaded"):
        fetch(data_md5, pinned.s3, cache=tmp_path)


def test_answers_that_are_always_too_short_are_named_and_not_cached(
    store, pinned, data_md5, tmp_path
):
    store.fault = lambda _, path, __: "" if path.endswith(".dir") else "short"
    with pytest.raises(SegError, match=r"the connection broke off 3 times"):
        fetch(data_md5, pinned.s3, cache=tmp_path)
    root = tmp_path / "datasets" / data_md5.removesuffix(".dir")
    for path, content in contents(root).items():
        assert content == pinned.files[path]


@pytest.mark.parametrize("fault", [503, "lost", "short", "torn"])
@pytest.mark.usefixtures("large_file")
def test_a_publication_survives_temporary_faults_and_writes_nothing_twice(
    store, folder, tmp_path, fault
):
    url = f"s3://{BUCKET}/{tmp_path.name}"
    store.fault = lambda _, __, number: fault if number == 1 else ""
    published = publish(folder, url, name="m")
    assert (published.sent_files, published.latest.key) == (4, published.key)
    assert len(_keys(tmp_path.name)) == 4 + 2  # files, listing, pointer
    assert not store.unchecked
    root = fetch_published(url, "m", cache=tmp_path / "cache")
    assert contents(root) == contents(folder)


def test_answers_that_are_always_torn_are_one_sentence(store, folder, tmp_path):
    url = f"s3://{BUCKET}/{tmp_path.name}"
    store.fault = lambda _, path, __: "torn" if "latest.json" in path else ""
    with pytest.raises(SegError, match=r"latest\.json: cannot be (read|written)\."):
        publish(folder, url, name="m")
    store.fault = lambda *_: ""
    publish(folder, url, name="m")
    store.fault = lambda *_: "torn"
    with pytest.raises(SegError, match=r"latest\.json: cannot be read\."):
        latest(url, "m")
    remote = open_remote(url)
    for ask in (lambda: remote.sizes(["a"]), lambda: remote.write("a", b"one")):
        with pytest.raises(SegError, match=r"cannot be (read|written)\."):
            ask()


def test_a_store_that_never_answers_a_write_is_told(store, tmp_path):
    store.fault = lambda *_: "lost"
    remote = open_remote(f"s3://{BUCKET}/{tmp_path.name}")
    with pytest.raises(SegError, match=r"/a: cannot be written.*Is the store up\?"):
        remote.write("a", b"one")


def test_a_publication_that_fails_leaves_latest_and_is_taken_up_again(
    store, folder, tmp_path
):
    url = f"s3://{BUCKET}/{tmp_path.name}"
    before = publish(folder, url, name="m")
    (folder / "0").write_bytes(b"new")
    (folder / "1").write_bytes(b"newer")
    gone = hash_folder(folder)
    store.fault = lambda method, path, _: (
        503 if method == "PUT" and ".dir" in path else ""
    )
    with pytest.raises(SegError, match=r"\.dir: cannot be written.*overloaded"):
        publish(folder, url, name="m")
    assert latest(url, "m").key == before.key
    with pytest.raises(SegError, match="is missing"):
        fetch(gone, url, cache=tmp_path / "cache")
    store.fault = lambda *_: ""
    again = publish(folder, url, name="m")
    assert (again.sent_files, again.key) == (0, gone)  # the files were there
    assert latest(url, "m").key == gone


def test_a_store_that_ignores_conditions_is_refused_before_it_is_written_to(
    store, tmp_path
):
    store.fault = lambda *_: "plain"
    remote = open_remote(f"s3://{BUCKET}/{tmp_path.name}")
    remote.write("a", b"one")
    etag = remote.read("a").etag
    for condition in ({"if_match": etag}, {"if_absent": True}):
        with pytest.raises(SegError, match=r"/a.*does not know conditional writes"):
            remote.write("a", b"two", **condition)
    assert remote.read("a").content == b"one"
    assert _keys(tmp_path.name) == [f"{tmp_path.name}/a"]  # and no probes
    store.fault = lambda *_: ""
    with pytest.raises(ChangedObjectError):
        remote.write("a", b"two", if_absent=True)


def test_a_second_fetch_asks_for_nothing_but_the_listing(
    store, pinned, data_md5, tmp_path
):
    fetch(data_md5, pinned.s3, cache=tmp_path)
    first = store.reads()
    assert len(first) == len(set(pinned.files.values())) + 1  # two files are alike
    assert set(first.values()) == {1}
    fetch(data_md5, pinned.s3, cache=tmp_path)
    name = f"{data_md5[:2]}/{data_md5[2:]}"
    assert store.reads() == {**first, name: 2}


def test_the_same_fetch_twice_at_once_moves_each_object_once(
    store, pinned, data_md5, tmp_path
):
    store.fault = lambda *_: "slow"
    command = (
        f"from seglib.storage.fetching import fetch; fetch({data_md5!r}, {pinned.s3!r})"
    )
    both = [_python(command, tmp_path) for _ in range(2)]
    assert [one.wait() for one in both] == [0, 0]
    reads = store.reads()
    assert reads.pop(f"{data_md5[:2]}/{data_md5[2:]}") == 2
    assert set(reads.values()) == {1}
    root = tmp_path / "datasets" / data_md5.removesuffix(".dir")
    assert contents(root) == pinned.files


def test_a_fetch_that_was_killed_is_taken_up_where_it_was(
    store, pinned, data_md5, tmp_path
):
    store.fault = lambda _, path, __: (
        "hold" if path.endswith("3b19e134f01fbaf94b8e15f3df090") else ""
    )
    command = (
        f"from seglib.storage.fetching import fetch; fetch({data_md5!r}, {pinned.s3!r})"
    )
    killed = _python(command, tmp_path)
    assert store.held.wait(HANG_S)
    killed.kill()
    killed.wait()
    root = tmp_path / "datasets" / data_md5.removesuffix(".dir")
    for path, content in contents(root).items():
        assert content == pinned.files[path]
    store.release.set()
    store.seen.clear()
    assert contents(fetch(data_md5, pinned.s3, cache=tmp_path)) == pinned.files
    store.seen.clear()
    fetch(data_md5, pinned.s3, cache=tmp_path)
    assert list(store.reads()) == [f"{data_md5[:2]}/{data_md5[2:]}"]
    assert not [path for path in (tmp_path / "partial").rglob("*") if path.is_file()]


def test_a_full_disk_ends_a_fetch_which_goes_on_once_there_is_room(
    pinned, data_md5, small_disk
):
    with pytest.raises(SegError, match=r"cannot be kept here \(No space left"):
        fetch(data_md5, str(pinned.remote), cache=small_disk)
    root = small_disk / "datasets" / data_md5.removesuffix(".dir")
    for path, content in contents(root).items():
        assert content == pinned.files[path]
    subprocess.run(["mount", "-o", "remount,size=9m", str(small_disk)], check=True)
    assert contents(fetch(data_md5, str(pinned.remote), cache=small_disk)) == (
        pinned.files
    )


def test_a_full_disk_ends_a_publication_and_leaves_latest(folder, small_disk):
    url = str(small_disk / "remote")
    before = publish(folder, url, name="m")
    (folder / "big").write_bytes(bytes(2_000_000))
    with pytest.raises(SegError, match=r"cannot be written \(No space left.*Free some"):
        publish(folder, url, name="m")
    assert latest(url, "m").key == before.key
    subprocess.run(["mount", "-o", "remount,size=9m", str(small_disk)], check=True)
    after = publish(folder, url, name="m")
    assert latest(url, "m").key == after.key != before.key
    assert after.sent_files == 1


def _python(command: str, cache: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", command],
        env={
            **os.environ,
            "SEGLIB_CACHE": str(cache),
            "PYTHONPATH": str(Path.cwd()),
        },
    )
