import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import pytest

from seglib.errors import SegError, UsageError
from seglib.storage.backends import object_key, s3
from seglib.storage.fetching import fetch
from seglib.storage.listings import manifest_entries, missing_files, with_sizes
from tests.storage.conftest import BUCKET

EMPTY = hashlib.md5(b"").hexdigest()  # of test_images/empty.png
KEY = f"some/prefix/{object_key(EMPTY)}"


@contextmanager
def _stored_instead(content: bytes | None) -> Iterator[None]:
    """While it lasts, the empty file's object is another one, or gone."""
    client, place = boto3.client("s3"), {"Bucket": BUCKET, "Key": KEY}
    if content is None:
        client.delete_object(**place)
    else:
        client.put_object(**place, Body=content)
    try:
        yield
    finally:
        client.put_object(**place, Body=b"")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, rf"empty.png: s3://{BUCKET}/{KEY} is missing"),
        (b"not empty", rf"is damaged. Expected md5: {EMPTY}"),
    ],
)
def test_an_object_that_is_not_right_is_named(pinned, tmp_path, content, told):
    with _stored_instead(content), pytest.raises(SegError, match=told):
        fetch(pinned.md5, pinned.s3, cache=tmp_path)


@pytest.mark.parametrize("way", ["asked one by one", "listed"])
def test_sizes_and_what_was_not_pushed_are_known_without_reading(
    pinned, monkeypatch, way
):
    monkeypatch.setattr(s3, "_LISTED_AT_ONCE", 1000 if way == "listed" else 0.1)
    entries = manifest_entries(pinned.md5, pinned.s3)
    sized = {entry.path: entry.size for entry in with_sizes(entries, pinned.s3)}
    assert sized == {path: len(content) for path, content in pinned.files.items()}
    assert missing_files(pinned.md5, pinned.s3) == []
    with _stored_instead(None):
        missing = missing_files(pinned.md5, pinned.s3)
    assert missing == [f"test_images/empty.png ({EMPTY})"]


@pytest.mark.parametrize(
    ("url", "variables", "error", "told"),
    [
        ("s3://nobody/x", {}, SegError, r"nobody/x/.*NoSuchBucket.*Check the remote"),
        ("s3://", {}, UsageError, "names no bucket"),
        (
            *("s3://datasets", {"AWS_ACCESS_KEY_ID": "", "HOME": "/nowhere"}),
            *(SegError, "Unable to locate credentials. Set AWS_ACCESS_KEY"),
        ),
        (
            *("s3://datasets", {"AWS_PROFILE": "nobody"}),
            *(SegError, r"profile \(nobody\).*AWS_PROFILE"),
        ),
        (
            *("s3://datasets", {"AWS_ENDPOINT_URL": "no address"}),
            *(SegError, "Invalid endpoint.*Check AWS_ENDPOINT_URL"),
        ),
    ],
)
def test_a_place_that_cannot_be_read_is_one_line_with_a_remedy(
    s3_server, tmp_path, monkeypatch, url, variables, error, told
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
        if not value:
            monkeypatch.delenv(name)
    with pytest.raises(error, match=told):
        fetch("0" * 32 + ".dir", url, cache=tmp_path)
