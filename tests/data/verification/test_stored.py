"""A dataset in a store has the findings of the same folder, and no copy is kept."""

import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from typer.testing import CliRunner

from seglib.cli.main import app
from seglib.data.image_io import write_image
from seglib.data.manifest import open_dataset
from seglib.data.verification.verified import Verification
from seglib.data.verification.verifier import verify
from seglib.errors import SegError, UsageError
from seglib.steps.verify import findings_json
from seglib.storage.publishing import publish
from tests.fakes.dvc_files import write_pin, write_repository
from tests.fakes.s3_proxy import Proxy, proxy

BUCKET = "datasets"


@pytest.fixture
def store(s3_server, monkeypatch, tmp_path) -> Iterator[Proxy]:
    monkeypatch.setenv("SEGLIB_CACHE", str(tmp_path / "cache"))
    with proxy(s3_server) as front:
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
        monkeypatch.setenv("AWS_ENDPOINT_URL", front.address)
        yield front


@pytest.fixture
def faulty(folder):
    folder.image("train", "a").write_bytes(folder.image("train", "a").read_bytes()[:60])
    folder.mask("val", "d").unlink()
    write_image(folder.image("val", "e"), folder.pixels("c"))
    (folder.root / "extra_images").mkdir()
    (folder.root / "extra_images/x.png").write_bytes(b"x")
    return folder


def upload(root: Path, url: str) -> None:
    prefix = url.partition(f"{BUCKET}/")[2]
    for path in (p for p in root.rglob("*") if p.is_file()):
        key = f"{prefix}/{path.relative_to(root).as_posix()}"
        boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())


def findings(found: Verification) -> dict:
    return {**json.loads("".join(findings_json(found))), "dataset": ""}


def images_read(store: Proxy) -> int:
    """Objects of images and masks that were asked for since the last call."""
    read = sum(
        count
        for (method, path), count in store.seen.items()
        if method == "GET" and ("_images/" in path or "_segmentation/" in path)
    )
    store.seen.clear()
    return read


def test_the_folders_of_a_bucket_are_verified_and_read_once(faulty, store, tmp_path):
    url = f"s3://{BUCKET}/{tmp_path.name}"
    upload(faulty.root, url)
    expected = findings(verify(faulty.root))
    assert findings(verify(url, fresh=True)) == expected
    assert images_read(store) == 8  # of four whole pairs
    assert findings(verify(url)) == expected
    assert images_read(store) == 0
    write_image(faulty.mask("train", "b"), faulty.ids()[::-1])
    upload(faulty.root, url)
    store.seen.clear()
    assert findings(verify(url)) == findings(verify(faulty.root))
    assert images_read(store) == 1


def test_a_pinned_version_is_verified_through_its_remote(faulty, store, tmp_path):
    url = f"s3://{BUCKET}/{tmp_path.name}"
    expected = findings(verify(faulty.root))
    pin = write_pin(tmp_path / "repository", publish(faulty.root, url).key)
    write_repository(tmp_path / "repository", url)
    # What is known of the files by their md5 holds wherever they are.
    assert findings(verify(pin)) == expected
    assert len(store.reads()) == 2  # the listing and dataset.yaml
    found = verify(pin, fresh=True)
    assert findings(found) == expected
    assert found.files_read == 8
    assert not (tmp_path / "cache" / "files").exists()


def test_the_command_writes_the_manifest_and_the_page_of_a_pin(folder, store, tmp_path):
    url = f"s3://{BUCKET}/{tmp_path.name}"
    pin = write_pin(tmp_path / "repository", publish(folder.root, url).key)
    write_repository(tmp_path / "repository", url)
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["verify", str(pin), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert (out / "report.html").read_text().count("<img") >= 5
    pairs = open_dataset(out).pairs("train")  # fetched by the manifest
    assert [pair.image.read_bytes() for pair in pairs] == [
        folder.image("train", stem).read_bytes() for stem in "abc"
    ]


def test_a_damaged_or_missing_object_is_a_finding(folder, store, tmp_path):
    url = f"s3://{BUCKET}/{tmp_path.name}"
    pin = write_pin(tmp_path / "repository", publish(folder.root, url).key)
    client = boto3.client("s3")
    cut, gone = (folder.image("train", stem).read_bytes() for stem in "ab")
    listed = client.list_objects_v2(Bucket=BUCKET, Prefix=tmp_path.name)
    for key in (found["Key"] for found in listed["Contents"]):
        content = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        if content == cut:
            client.put_object(Bucket=BUCKET, Key=key, Body=content[:-1])
        elif content == gone:
            client.delete_object(Bucket=BUCKET, Key=key)
    problems = verify(pin, remote=url).problems
    assert [p.path.name for p in problems] == ["a.png", "b.png"]
    assert "is damaged. Expected md5" in problems[0].reason
    assert "is missing" in problems[1].reason


def test_a_dvc_remote_is_no_dataset(folder, store, tmp_path):
    url = f"s3://{BUCKET}/{tmp_path.name}"
    publish(folder.root, url)
    with pytest.raises(SegError, match="a DVC remote, whose objects have no names"):
        verify(url)


def test_an_empty_prefix_is_no_dataset(store, tmp_path):
    with pytest.raises(SegError, match="no split found"):
        verify(f"s3://{BUCKET}/nothing-{tmp_path.name}")


def test_a_store_that_fails_ends_the_verification(folder, store, tmp_path):
    url = f"s3://{BUCKET}/{tmp_path.name}"
    upload(folder.root, url)
    store.fault = lambda _, path, __: 503 if "train_images/" in path else ""
    with pytest.raises(SegError, match="The store fails or is overloaded"):
        verify(url)


def test_the_command_takes_a_bucket(folder, store, tmp_path):
    url = f"s3://{BUCKET}/{tmp_path.name}"
    upload(folder.root, url)
    done = CliRunner().invoke(app, ["verify", url, "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["pairs"] == {"train": 3, "val": 2}
    done = CliRunner().invoke(app, ["verify", url, "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, UsageError)
