import hashlib
import json
import shutil
from pathlib import Path

import pytest

from seglib.errors import SegError
from seglib.storage.fetching import fetch
from seglib.storage.hashes import hash_folder
from seglib.storage.listings import manifest_entries
from tests.fakes.contents import contents

A = "train_images/a.png"


@pytest.fixture
def files(pinned) -> dict[str, bytes]:
    return pinned.files


@pytest.fixture
def remote(pinned, tmp_path) -> Path:
    """A copy of the remote that a test may damage."""
    shutil.copytree(pinned.remote, tmp_path / "remote")
    for path in (tmp_path / "remote").rglob("*"):
        path.chmod(0o755)
    return tmp_path / "remote"


def _md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def _object(remote: Path, md5: str) -> Path:
    return remote / "files" / "md5" / md5[:2] / md5[2:]


def _under_way(cache: Path) -> list[Path]:
    return [path for path in (cache / "partial").rglob("*") if path.is_file()]


def _store_manifest(remote: Path, entries: object) -> str:
    """Write a manifest into a remote; returns its name."""
    content = json.dumps(entries).encode()
    path = _object(remote, _md5(content) + ".dir")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return _md5(content) + ".dir"


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_what_dvc_pushed_arrives_byte_for_byte(files, pinned, data_md5, tmp_path, kind):
    remote, calls = pinned.s3 if kind == "s3" else str(pinned.remote), []
    root = fetch(
        *(data_md5, remote),
        cache=tmp_path,
        progress=lambda *call: calls.append(call),
    )
    assert contents(root) == files
    assert hash_folder(root) == data_md5
    assert calls == sorted(calls)
    assert calls[-1] == (len(files), len(files))
    assert not _under_way(tmp_path)


def test_paths_choose_what_is_fetched(pinned, data_md5, tmp_path):
    remote = str(pinned.remote)
    root = fetch(data_md5, remote, paths=["dataset.yaml"], cache=tmp_path)
    assert contents(root).keys() == {"dataset.yaml"}
    same = fetch(data_md5, remote, paths=[A], cache=tmp_path)
    assert same == root
    assert contents(root).keys() == {"dataset.yaml", A}


def test_a_file_that_the_dataset_lacks_is_named(pinned, data_md5, tmp_path):
    with pytest.raises(SegError, match=r"aa.png: not a file.*train_images/a"):
        fetch(
            data_md5, str(pinned.remote), paths=["train_images/aa.png"], cache=tmp_path
        )


def test_a_cached_file_that_was_changed_is_fetched_again(
    files, pinned, data_md5, tmp_path
):
    root = fetch(data_md5, str(pinned.remote), cache=tmp_path)
    (root / A).write_bytes(files[A][:-1] + b"!")
    (root / "test_images/c.png").unlink()
    fetch(data_md5, str(pinned.remote), cache=tmp_path)
    assert contents(root) == files


def test_damaged_and_missing_objects_are_all_named_and_the_rest_is_kept(
    files, remote, data_md5, tmp_path
):
    damaged = bytearray(files[A])
    damaged[100] ^= 1
    flipped = _object(remote, _md5(files[A]))
    flipped.write_bytes(damaged)
    _object(remote, _md5(b"unicode")).unlink()
    with pytest.raises(SegError) as caught:
        fetch(data_md5, str(remote), cache=tmp_path)
    message = str(caught.value)
    assert f"2 of {len(files)} files" in message
    assert message.count("is missing. `dvc push`") == 1
    assert (
        f"{A}: {flipped} is damaged. Expected md5: {_md5(files[A])}. Received: "
        f"{_md5(damaged)}. Delete the object and `dvc push`"
    ) in message
    kept = contents(tmp_path / "datasets" / data_md5.removesuffix(".dir"))
    assert len(kept) == len(files) - 2
    assert not _under_way(tmp_path)


def test_a_manifest_that_is_damaged_or_not_there_is_refused(remote, data_md5, tmp_path):
    path = _object(remote, data_md5)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(SegError, match=r"manifest.*is damaged. Expected md5: [0-9a-f]"):
        fetch(data_md5, str(remote), cache=tmp_path)
    path.unlink()
    with pytest.raises(SegError, match=r"manifest.*is missing. `dvc push`"):
        fetch(data_md5, str(remote), cache=tmp_path)


@pytest.mark.parametrize(
    "entries",
    [
        *({"a": 1}, 7, [{"relpath": "a"}], [{"relpath": "a", "md5": "../../x"}], ["a"]),
        *(
            [{"md5": _md5(b"unicode"), "relpath": path}]  # leads out
            for path in (
                *("../out", "/etc/out", "a/../../out", "a\\..\\out", "C:/out"),
                *("", ".", "a\0b"),
            )
        ),
    ],
)
def test_a_manifest_that_is_none_or_leads_outside_is_refused(remote, tmp_path, entries):
    name = _store_manifest(remote, entries)
    with pytest.raises(SegError, match=r"not a manifest of a dataset"):
        fetch(name, str(remote), cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_plain_folder_is_checked_and_used_as_it_is(files, pinned, data_md5, tmp_path):
    calls: list[tuple[int, int]] = []
    root = fetch(
        data_md5,
        str(pinned.data),
        cache=tmp_path / "cache",
        progress=lambda done, total: calls.append((done, total)),
    )
    assert root == pinned.data
    assert calls == [(len(files), len(files))]
    assert not (tmp_path / "cache").exists()
    sizes = {e.path: e.size for e in manifest_entries(data_md5, str(pinned.data))}
    assert sizes == {path: len(content) for path, content in files.items()}


def test_a_plain_folder_with_other_content_is_refused(pinned, data_md5, tmp_path):
    shutil.copytree(pinned.data, tmp_path / "data")
    (tmp_path / "data" / A).write_bytes(b"other")
    received = hash_folder(tmp_path / "data")
    with pytest.raises(SegError) as caught:
        fetch(data_md5, str(tmp_path / "data"))
    assert f"Expected md5: {data_md5}. Received: {received}" in str(caught.value)


def test_what_versions_share_is_moved_and_stored_once(files, remote, tmp_path):
    one = [{"md5": _md5(files[A]), "relpath": name} for name in ("a.png", "b.png")]
    two = [{"md5": _md5(files[A]), "relpath": "c.png"}]
    first = fetch(_store_manifest(remote, one), str(remote), cache=tmp_path)
    _object(remote, _md5(files[A])).unlink()  # whoever reads it again, fails
    second = fetch(_store_manifest(remote, two), str(remote), cache=tmp_path)
    assert (first / "b.png").read_bytes() == files[A]
    assert (second / "c.png").samefile(first / "a.png")


def test_the_cache_is_named_by_the_environment(pinned, data_md5, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGLIB_CACHE", str(tmp_path / "mine"))
    root = fetch(data_md5, str(pinned.remote), paths=[A])
    assert root.is_relative_to(tmp_path / "mine")


def test_a_cache_that_cannot_be_written_is_named(pinned, data_md5, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(
        SegError, match=r"file: the dataset cannot be kept here.*SEGLIB_CACHE"
    ):
        fetch(data_md5, str(pinned.remote), cache=tmp_path / "file")


def test_a_remote_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SegError, match=r"gone: no such folder. Expected a DVC remote"):
        fetch("0" * 32 + ".dir", str(tmp_path / "gone"))


@pytest.mark.parametrize("data_md5", ["", "abc", "0" * 32, "../" + "0" * 29 + ".dir"])
def test_a_hash_that_is_none_is_refused(tmp_path, data_md5):
    with pytest.raises(SegError, match=r"expected the hash of a folder"):
        fetch(data_md5, str(tmp_path))
