import threading

import pytest

from benchmarks.waiting import HANG_S
from seglib.errors import SegError
from seglib.training.checkpoints import Checkpoints
from seglib.training.checkpoints import manager as keeping
from tests.fakes.loopback import Loopback, Reply
from tests.fakes.s3_proxy import proxy

KEY = "f" * 64
PLACE = "s3://datasets/of/checkpoints"


class _Silent(Loopback):
    """A store that has nothing, and never answers who writes or deletes."""

    def __init__(self):
        super().__init__()
        self.asked, self.released = threading.Event(), threading.Event()

    def reply(self, request):
        if request.method == "GET":
            return Reply(404, "<Error><Code>NoSuchKey</Code></Error>")
        self.asked.set()
        self.released.wait(HANG_S)
        return Reply(0)


@pytest.fixture
def silent_server(monkeypatch):
    with _Silent() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield server
        server.released.set()


def test_a_bucket_keeps_checkpoints_until_they_are_removed(
    s3_server, opened, snapshot, keep
):
    checkpoints = opened(PLACE)
    keep(checkpoints, snapshot(1), snapshot(2), snapshot(3, 3_000_000))
    found = Checkpoints(PLACE).open(KEY)
    assert found.facts["step"] == 3
    expected = snapshot(3, 3_000_000).arrays["network"][0]
    assert (found.arrays["network"][0] == expected).all()
    checkpoints.remove()
    assert Checkpoints(PLACE).open(KEY) is None


def test_a_broken_object_is_named_and_the_one_before_is_taken(
    s3_server, opened, snapshot, keep, caplog
):
    import boto3

    keep(opened(PLACE, "a" * 64), snapshot(1), snapshot(2))
    key = f"of/checkpoints/{'a' * 64}/1.checkpoint"
    client = boto3.client("s3")
    whole = client.get_object(Bucket="datasets", Key=key)["Body"].read()
    client.put_object(Bucket="datasets", Key=key, Body=whole[:-100])
    found = Checkpoints(PLACE).open("a" * 64)
    assert found.facts["step"] == 1
    assert f"s3://datasets/{key}: " in caplog.text


@pytest.mark.parametrize("fault", ["short", "torn"])
def test_a_checkpoint_whose_bytes_break_off_is_asked_for_again(
    s3_server, opened, snapshot, keep, monkeypatch, fault
):
    key = "c" * 64
    keep(opened(PLACE, key), snapshot(1))
    with proxy(s3_server) as front:
        monkeypatch.setenv("AWS_ENDPOINT_URL", front.address)
        front.fault = lambda _, __, number: fault if number == 1 else ""
        assert Checkpoints(PLACE).open(key).facts["step"] == 1


def test_a_bucket_that_is_not_there_is_told_before_the_training(s3_server):
    with pytest.raises(SegError, match="s3://none/at/all/f"):
        Checkpoints("s3://none/at/all").open(KEY)


def test_a_store_that_never_answers_holds_nothing_up(
    silent_server, snapshot, monkeypatch, caplog
):
    monkeypatch.setattr(keeping, "_PATIENCE_S", 0.1)
    checkpoints = Checkpoints(PLACE, every_s=0, largest_share=1e9)
    assert checkpoints.open(KEY) is None
    with checkpoints:
        checkpoints.write(lambda: snapshot(1))
        assert silent_server.asked.wait(HANG_S)
        assert not checkpoints.is_due(), "one at a time"
    checkpoints.remove()
    assert "does not answer" in caplog.text
    assert checkpoints.written_step == 0
