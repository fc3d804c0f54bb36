import hashlib
from pathlib import Path

import pytest

from seglib.errors import SegError
from seglib.storage import default_remote, hash_folder, read_pin


def _write_config(repository: Path, content: str) -> None:
    (repository / ".dvc").mkdir()
    (repository / ".dvc" / "config").write_text(content)


def test_the_hash_of_a_folder_is_the_one_that_dvc_pinned(pinned):
    assert hash_folder(pinned.data) == read_pin(pinned.repository / "data.dvc")


def test_the_hash_of_a_folder_by_hand(tmp_path):
    (tmp_path / "b").write_bytes(b"")
    (tmp_path / "B").write_bytes(b"x")
    empty, x = "d41d8cd98f00b204e9800998ecf8427e", "9dd4e461268c8034f5c8564e155c67a6"
    listing = (
        f'[{{"md5": "{x}", "relpath": "B"}}, {{"md5": "{empty}", "relpath": "b"}}]'
    )
    expected = hashlib.md5(listing.encode()).hexdigest() + ".dir"
    assert hash_folder(tmp_path) == expected


def test_version_control_inside_of_a_dataset_is_not_part_of_its_hash(tmp_path):
    (tmp_path / "a.png").write_bytes(b"a")
    before = hash_folder(tmp_path)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_bytes(b"ref")
    assert hash_folder(tmp_path) == before


def test_the_default_remote_is_the_one_that_dvc_wrote(pinned):
    assert default_remote(pinned.repository) == str(pinned.remote)


def test_a_relative_remote_is_found_from_anywhere(tmp_path, monkeypatch):
    _write_config(
        tmp_path, "[core]\n    remote = a\n['remote \"a\"']\n    url = ../x\n"
    )
    monkeypatch.chdir("/")
    assert default_remote(tmp_path) == str(tmp_path / "x")


def test_the_local_configuration_wins(tmp_path):
    _write_config(
        tmp_path, "[core]\nremote = a\n['remote \"a\"']\nurl = s3://one/two\n"
    )
    local = "['remote \"a\"']\nurl = s3://mine/two\n"
    (tmp_path / ".dvc" / "config.local").write_text(local)
    assert default_remote(tmp_path) == "s3://mine/two"


@pytest.mark.parametrize("option", ["version_aware", "worktree"])
def test_a_cloud_versioned_remote_is_refused_by_name(tmp_path, option):
    _write_config(  # as DVC does
        tmp_path,
        "[core]\n    remote = versions\n['remote \"versions\"']\n"
        f"    url = s3://bucket/data\n    {option} = true\n",
    )
    with pytest.raises(SegError, match=rf"remote versions has `{option}` set.*cloud"):
        default_remote(tmp_path)


def test_a_pin_of_a_cloud_versioned_remote_is_refused_by_name(tmp_path):
    (tmp_path / "data.dvc").write_text(  # as `dvc push` writes it
        "outs:\n- path: data\n  hash: md5\n  files:\n  - relpath: a.png\n"
        "    md5: d41d8cd98f00b204e9800998ecf8427e\n    size: 0\n"
        "    cloud:\n      versions:\n        version_id: x\n"
    )
    with pytest.raises(SegError, match=r"data\.dvc: DVC's cloud versioning"):
        read_pin(tmp_path / "data.dvc")


@pytest.mark.parametrize("config", [None, "", "[core]\nremote = gone\n"])
def test_a_repository_without_default_remote_says_how_to_set_one(tmp_path, config):
    if config is not None:
        _write_config(tmp_path, config)
    with pytest.raises(SegError, match=r"no (default|such) remote.*dvc remote add"):
        default_remote(tmp_path)


def test_a_damaged_configuration_is_named(tmp_path):
    _write_config(tmp_path, "remote = a\n")
    with pytest.raises(SegError, match=r"\.dvc/config: cannot be read"):
        default_remote(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "- a",
        "outs: []",
        "outs: [{md5: a}, {md5: b}]",
        "outs: [{path: x}]",
        "a: [",
        "7",
    ],
)
def test_a_file_that_is_no_pin_is_refused(tmp_path, content):
    (tmp_path / "data.dvc").write_text(content)
    with pytest.raises(
        SegError, match=r"data\.dvc: not (a pin of one folder|valid YAML)"
    ):
        read_pin(tmp_path / "data.dvc")


def test_a_pin_of_a_single_file_is_refused(tmp_path):
    (tmp_path / "a.dvc").write_text("outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n")
    with pytest.raises(SegError, match=r"hash of a folder.*Received: md5='d41d"):
        read_pin(tmp_path / "a.dvc")


def test_a_missing_pin_is_named(tmp_path):
    with pytest.raises(SegError, match=r"none\.dvc: the pin cannot be read"):
        read_pin(tmp_path / "none.dvc")


def test_a_missing_folder_has_no_hash():
    with pytest.raises(SegError, match=r"nowhere: no such folder"):
        hash_folder(Path("nowhere"))
