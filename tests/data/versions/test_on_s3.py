"""Records in a bucket, and a store that fails where they lie: nothing else fails."""

from collections.abc import Iterator

import boto3
import pytest

from seglib.data.image_io import MASK_DECODING
from seglib.data.verification.verifier import verify
from seglib.data.versions import compare_versions, count_version, record_counts
from seglib.errors import SegError
from tests.fakes.s3_proxy import Proxy, proxy

BUCKET = "datasets"


@pytest.fixture
def store(s3_server, monkeypatch) -> Iterator[Proxy]:
    with proxy(s3_server) as front:
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")  # each waits longer than the last
        monkeypatch.setenv("AWS_ENDPOINT_URL", front.address)
        yield front


@pytest.fixture
def url(store, versions, tmp_path) -> str:
    """What DVC pushed to the folder, in the bucket."""
    for path in (p for p in versions.remote.rglob("*") if p.is_file()):
        key = f"{tmp_path.name}/{path.relative_to(versions.remote).as_posix()}"
        boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())
    return f"s3://{BUCKET}/{tmp_path.name}"


def _of_records(store, method, kind):
    """Let this befall the requests of a method that are about records."""
    store.fault = lambda how, path, _: (
        kind if how == method and "class-counts" in path else ""
    )


def test_two_versions_in_a_bucket_are_compared_after_counting(versions, url, store):
    for data_md5 in (versions.v1, versions.v2):
        assert count_version(data_md5, url).written
    store.seen.clear()
    nowhere = versions.repository / "nowhere"
    found = compare_versions(versions.v1, versions.v2, url, cache=nowhere)
    assert found.classes.uncounted == (0, 0)
    assert not nowhere.exists()
    # The two listings, the two dataset.yaml, and no mask or image.
    assert len(store.reads()) == 4


@pytest.mark.parametrize("fault", [503, "short"])
def test_counts_that_cannot_be_read_are_noted(versions, url, store, fault):
    count_version(versions.v1, url)
    _of_records(store, "GET", fault)
    found = compare_versions(
        versions.v1, versions.v2, url, cache=versions.repository / "nowhere"
    )
    assert found.classes.uncounted == (5, 5)
    assert "class-counts" in found.classes.notes[0]
    assert len(found.samples.added) == 1


def test_counts_that_cannot_be_written_stop_no_verification(versions, url, store):
    found = verify(versions.folder("v1"))
    _of_records(store, "PUT", 500)
    told = record_counts(found, versions.v1, url)
    assert told.startswith("The class counts are not stored beside the data: s3://")
    with pytest.raises(SegError, match="cannot be written"):
        count_version(versions.v1, url)  # who asks for it, is told
    _of_records(store, "PUT", "")
    told = record_counts(found, versions.v1, url)
    assert told == (
        f"The class counts are stored in {url}/seglib/class-counts/{MASK_DECODING}/"
        f"{versions.v1.removesuffix('.dir')}.json.gz."
    )
    assert record_counts(found, versions.v1, url) == ""


def test_a_lost_answer_to_a_write_leaves_complete_counts(versions, url, store):
    _of_records(store, "PUT", "lost")
    found = verify(versions.folder("v1"))
    told = record_counts(found, versions.v1, url)
    assert "Connection was closed" in told
    again = count_version(versions.v1, url, cache=versions.repository / "nowhere")
    assert (again.known, again.counted, again.written) == (4, 0, False)
