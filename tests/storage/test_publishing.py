"""Finished folders on a remote, by the hash of their content, and which is `latest`."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from typer.testing import CliRunner

from seglib.cli.main import app
from seglib.cli.progress import TransferBar
from seglib.errors import SegError, UsageError
from seglib.storage import publishing
from seglib.storage.fetching import fetch
from seglib.storage.hashes import hash_folder
from seglib.storage.pointers import Pointer, latest, move_latest, set_latest
from seglib.storage.publishing import check_place, fetch_published, publish
from seglib.storage.remotes import open_remote
from tests.fakes.contents import contents
from tests.storage.conftest import BUCKET

KEYS = [f"{number:032x}.dir" for number in range(8)]


@pytest.fixture(params=["folder", "s3"])
def url(request, tmp_path, s3_server):
    if request.param == "folder":
        return str(tmp_path / "remote")
    return f"s3://{BUCKET}/published/{tmp_path.name}"


@pytest.fixture
def folder(tmp_path):
    """Five files, two of them alike."""
    root = tmp_path / "export"
    (root / "saved_model" / "variables").mkdir(parents=True)
    (root / "saved_model" / "model.pb").write_bytes(b"graph")
    (root / "saved_model" / "variables" / "data").write_bytes(bytes(9_000))
    (root / "contract.json").write_bytes(b"{}")
    (root / "comparison.json").write_bytes(b"{}")
    (root / "empty").write_bytes(b"")
    return root


def test_a_publication_is_fetched_by_name_and_by_key(folder, url, tmp_path):
    published = publish(folder, url, name="street/model")
    assert published.key == hash_folder(folder)
    assert latest(url, "street/model").key == published.key
    for name in ("street/model", published.key):
        root = fetch_published(url, name, cache=tmp_path / "cache")
        assert contents(root) == contents(folder)
    assert fetch(published.key, url, cache=tmp_path / "cache") == root
    (folder / "contract.json").write_bytes(b"other")
    other = publish(folder, url, name="other")
    assert latest(url, "street/model").key == published.key != other.key


def test_what_is_there_is_not_sent_again(folder, url):
    calls = []
    first = publish(folder, url, progress=lambda *call: calls.append(call))
    assert (first.num_files, first.sent_files) == (5, 4)
    assert first.sent_bytes == 9_000 + len(b"graph" + b"{}")
    assert calls == sorted(calls)
    assert calls[-1] == (4, 4)
    again = publish(folder, url)
    assert (again.key, again.sent_files) == (first.key, 0)
    (folder / "contract.json").write_bytes(b"{ }")
    changed = publish(folder, url)
    assert changed.key != first.key
    assert changed.sent_files == 1


def test_every_byte_that_moves_is_told(folder, url, tmp_path):
    sent, come = [], []
    (folder / "large").write_bytes(bytes(9_000_000))
    published = publish(folder, url, moved=sent.append)
    assert sum(sent) == published.sent_bytes
    assert max(sent) < 9_000_000  # also while a large file is on its way
    fetch(published.key, url, cache=tmp_path / "cache", moved=come.append)
    assert sum(come) == published.sent_bytes
    assert max(come) <= 1 << 20
    fetch(published.key, url, cache=tmp_path / "cache", moved=come.append)
    assert sum(come) == published.sent_bytes


def test_an_object_of_another_size_is_sent_again(folder, url, tmp_path):
    published = publish(folder, url)
    md5 = "99914b932bd37a50b983c5e7c90ae93b"  # of {}
    open_remote(url).write(f"files/md5/{md5[:2]}/{md5[2:]}", b"{")
    assert publish(folder, url).sent_files == 1
    fetch(published.key, url, cache=tmp_path / "cache")


def test_an_older_publication_never_takes_the_place_of_a_newer(url):
    remote = open_remote(url, create=True)
    old, new = Pointer("2026-01-01", KEYS[0], "m"), Pointer("2026-01-02", KEYS[1], "m")
    assert move_latest(remote, new) == new
    assert move_latest(remote, old) == new
    assert latest(url, "m") == new


def test_a_decision_leads_latest_to_an_older_publication(url):
    remote = open_remote(url, create=True)
    old, new = Pointer("2026-01-01", KEYS[0], "m"), Pointer("2999-01-02", KEYS[1], "m")
    move_latest(remote, new)
    back = set_latest(url, "m", KEYS[0])
    assert latest(url, "m") == back
    assert back.key == KEYS[0]
    assert back.time == "2999-01-02T00:00:00.000001+00:00", "after what it replaces"
    assert set_latest(url, "m", KEYS[0]) == back
    assert move_latest(remote, old) == back


def test_concurrent_decisions_each_replace_the_pointer_that_they_read(url):
    open_remote(url, create=True)
    with ThreadPoolExecutor(5) as pool:
        moved = list(pool.map(lambda key: set_latest(url, "m", key), KEYS))
    times = {pointer.time for pointer in moved}
    assert len(times) == len(KEYS)
    assert latest(url, "m") == max(moved)


@pytest.mark.parametrize("name", ["../x", "/x", "a//b", ".x", "a b", "x.dir", "ü"])
def test_a_name_that_leads_elsewhere_is_refused(folder, tmp_path, name):
    with pytest.raises(UsageError, match="`name` must be"):
        publish(folder, str(tmp_path / "remote"), name=name)
    assert not (tmp_path / "remote").exists()


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b'{"key": "x"}', b'{"a": 1}', b"[" * 100_000),
        *(
            b'{"time": %s, "key": "%032d.dir", "name": "m"}' % (text, 0)
            for text in (b"1", b'"now"', b'"0001-01-01"', b'"1969-12-31"', b"null")
        ),
    ],
)
def test_a_damaged_pointer_is_named(tmp_path, content):
    open_remote(str(tmp_path)).write("published/m/latest.json", content)
    with pytest.raises(SegError, match=r"m/latest.json: not a pointer"):
        latest(str(tmp_path), "m")


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(SegError, match=r"nothing was published under the name m"):
        latest(str(tmp_path), "m")
    with pytest.raises(SegError, match=r"holds no files"):
        publish(tmp_path, str(tmp_path / "remote"))


def test_the_commands_publish_and_fetch(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGLIB_CACHE", str(tmp_path / "cache"))
    url = str(tmp_path / "remote")

    def run(*command):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.exception
        return done.stdout

    told = run("publish", str(folder), url, "--name", "street")
    assert f"{hash_folder(folder)}: 5 files" in told
    assert "sent 4, 9.0 kB" in told
    assert "latest of street: this one" in told
    out = tmp_path / "copy"
    assert hash_folder(folder) in run("fetch", url, "street", "--out", str(out))
    assert contents(out) == contents(folder)
    again = CliRunner().invoke(app, ["fetch", url, "street", "--out", str(out)])
    assert isinstance(again.exception, UsageError)
    assert not list(tmp_path.glob(".copy*"))


FUTURE = "2999-01-01T00:00:00.000000+00:00"


def test_a_pointer_from_the_future_blocks_no_publication_and_is_reported(
    folder, url, caplog
):
    move_latest(open_remote(url, create=True), Pointer(FUTURE, KEYS[0], "m"))
    first = publish(folder, url, name="m")
    assert latest(url, "m") == Pointer(
        FUTURE.replace("000000", "000001"), first.key, "m"
    )
    assert f"latest.json is dated {FUTURE}" in caplog.text
    (folder / "contract.json").write_bytes(b"changed")
    second = publish(folder, url, name="m")
    assert second.latest == latest(url, "m") > first.latest


@pytest.mark.parametrize("is_future", [True, False])
def test_of_two_publications_at_once_the_one_that_began_later_stays(
    folder, url, is_future
):
    """After a pointer from the future none has: then both count, one after another."""
    if is_future:
        move_latest(open_remote(url, create=True), Pointer(FUTURE, KEYS[0], "m"))
    inner = []

    def publish_another(*_):
        if not inner:
            inner.append(None)
            inner[0] = publish(folder / "saved_model", url, name="m")

    outer = publish(folder, url, name="m", progress=publish_another)
    assert inner[0].latest.key == inner[0].key != outer.key
    assert outer.latest == latest(url, "m")
    if is_future:
        assert outer.latest > inner[0].latest
        assert outer.latest.key == outer.key
    else:
        assert outer.latest == inner[0].latest


@pytest.mark.parametrize("zone", ["+00:00", "-12:00", "Z", ""])
def test_a_pointer_without_a_later_time_is_an_error(folder, tmp_path, zone):
    url = str(tmp_path / "remote")
    last = {"time": "9999-12-31T23:59:59.999999" + zone, "key": KEYS[0], "name": "m"}
    open_remote(url, create=True).write(
        "published/m/latest.json", json.dumps(last).encode()
    )
    for again in (
        lambda: publish(folder, url, name="m"),
        lambda: set_latest(url, "m", KEYS[1]),
    ):
        with pytest.raises(SegError, match=r"m/latest\.json: .*Delete .*publish again"):
            again()
    assert not (tmp_path / "remote/files").exists(), "it is told before the work"


def test_the_command_says_that_a_later_publication_stays(folder, tmp_path):
    url = str(tmp_path / "remote")
    publish(folder, url)
    command = ["publish", str(folder), url, "--name", "m"]
    later = Pointer(FUTURE, KEYS[0], "m")

    def move_meanwhile(*_):
        move_latest(open_remote(url), later)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransferBar, "files", move_meanwhile)
        done = CliRunner().invoke(app, command)
    assert f"{KEYS[0]}, published later" in done.stdout
    assert latest(url, "m") == later
    assert "latest of m: this one" in CliRunner().invoke(app, command).stdout


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("s3://nobody/x", r"s3://nobody/x: cannot be written.*NoSuchBucket"),
        ("s3://No_Bucket/x", r"s3://No_Bucket/x: cannot be written.*Check .*bucket"),
        ("gs://bucket/x", r"Unknown scheme `gs://`"),
        ("{tmp}/file/x", r"file/x: cannot be created \(Not a directory"),
        ("/proc/x", r"/proc/x: cannot be created"),
    ],
)
def test_a_place_that_cannot_be_published_to_is_told_before_the_work(
    folder, tmp_path, s3_server, monkeypatch, place, told
):
    (tmp_path / "file").touch()
    monkeypatch.setattr(publishing, "list_folder", lambda _: pytest.fail("hashed"))
    url = place.format(tmp=tmp_path)
    for again in (lambda: check_place(url, "m"), lambda: publish(folder, url)):
        with pytest.raises(SegError, match=told):
            again()


def test_the_check_of_a_place_leaves_nothing_there_and_names_a_damaged_latest(url):
    check_place(url, "m")
    check_place(url)
    remote = open_remote(url)
    assert not list(remote.objects(""))
    remote.write("published/m/latest.json", b"{}")
    with pytest.raises(SegError, match=r"m/latest\.json: not a pointer"):
        check_place(url, "m")
