"""Remotes of DVC 2, and `.dvcignore`."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from seglib.cli.main import app
from seglib.errors import SegError
from seglib.storage.fetching import fetch
from seglib.storage.hashes import UnixDigest, hash_folder, ignored_in
from seglib.storage.listings import manifest_entries, missing_files, with_sizes
from seglib.storage.remotes import open_remote
from tests.fakes.dvc_files import write_pin, write_repository
from tests.storage.conftest import BUCKET

FILES = {
    "dataset.yaml": b"class_names:\r\n- road\r\n- car\r\n",
    "train_images/a.png": b"\x89PNG\r\n\0" + bytes(range(256)),
    "train_images/empty.png": b"",
}
pytestmark = pytest.mark.usefixtures("dvc_alone")


def _data(root: Path) -> Path:
    for path, content in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


# --- DVC 2 ----------------------------------------------------------------------


def _unix(content: bytes) -> str:
    text = content if b"\0" in content else content.replace(b"\r\n", b"\n")
    return hashlib.md5(text).hexdigest()


@pytest.fixture(params=["folder", "s3"])
def legacy(request, tmp_path, s3_server) -> tuple[str, str]:
    """A dataset on a remote as DVC 2 left it: its hash, and the remote's URL."""
    is_folder = request.param == "folder"
    url = str(tmp_path / "remote") if is_folder else f"s3://{BUCKET}/{tmp_path.name}"
    remote = open_remote(url, create=True)
    listed = [{"md5": _unix(FILES[p]), "relpath": p} for p in sorted(FILES)]
    for item in listed:
        remote.write(f"{item['md5'][:2]}/{item['md5'][2:]}", FILES[item["relpath"]])
    listing = json.dumps(listed, sort_keys=True).encode()
    md5 = hashlib.md5(listing).hexdigest() + ".dir"
    remote.write(f"{md5[:2]}/{md5[2:]}", listing)
    return md5, url


def test_a_remote_of_dvc_2_is_read(legacy, tmp_path):
    data_md5, url = legacy
    assert missing_files(data_md5, url) == []
    for _ in range(2):
        root = fetch(data_md5, url, cache=tmp_path / "cache")
        assert {p: (root / p).read_bytes() for p in FILES} == FILES
    sizes = {e.path: e.size for e in with_sizes(manifest_entries(*legacy), url)}
    assert sizes == {path: len(content) for path, content in FILES.items()}


def test_a_damaged_object_of_dvc_2_is_named(legacy, tmp_path):
    data_md5, url = legacy
    md5 = _unix(FILES["dataset.yaml"])
    open_remote(url).write(f"{md5[:2]}/{md5[2:]}", b"class_names: []")
    with pytest.raises(SegError, match=rf"{md5[:2]}/{md5[2:]} is damaged"):
        fetch(data_md5, url, cache=tmp_path / "cache")
    empty = hashlib.md5(b"").hexdigest()
    open_remote(url).delete(f"{empty[:2]}/{empty[2:]}")
    assert missing_files(data_md5, url) == [f"train_images/empty.png ({empty})"]


def test_a_pin_of_dvc_2_agrees_with_its_folder(legacy, tmp_path):
    data_md5, url = legacy
    repository = write_repository(tmp_path / "r", url)
    pin = write_pin(repository, data_md5, out="nfiles: 3")
    _data(repository / "data")
    done = CliRunner().invoke(app, ["data", "status", "--pin", str(pin)])
    assert done.exit_code == 0, done.output
    assert "as pinned" in done.output
    assert "complete" in done.output
    own = fetch(data_md5, str(repository / "data"))
    assert own == repository / "data"


@given(st.binary(max_size=3000), st.lists(st.integers(1, 700), max_size=5))
@example(b"a\r\nb" * 400_000, [700])
@example(b"\r\n" * 300 + b"\0", [])
@settings(max_examples=25)
def test_the_md5_of_dvc_2_is_that_of_dvc(tmp_path_factory, content, sizes):
    from dvc_data.hashfile.hash import file_md5

    path = tmp_path_factory.mktemp("file") / "a"
    path.write_bytes(content)
    digest, rest = UnixDigest(), content
    for size in sizes:
        digest.update(rest[:size])
        rest = rest[size:]
    digest.update(rest)
    assert digest.hexdigest() == file_md5(str(path), name="md5-dos2unix")


# --- .dvcignore -----------------------------------------------------------------

_PATTERNS = [
    *(".DS_Store", "*.tmp", "/data/a", "data/**/x", "**/b", "a/", "!a/b", "!*.tmp"),
    *("data/*", "!data/keep", "[ab].png", "[!a].png", "a?b", "# note", "", "/", "a/**"),
    *("\\#a", "\\!a", "data", "!data/a/b", "**", "data/a/*.tmp", "x/y", "*", "!*/"),
    *("*/", "**/", "!**/", "data/*/", "!data/**/", "/*/"),
]
_PATHS = [
    *("a", "b", "x", "a/b", "a/b/x", "keep", "a.png", "c.png", "a/q.tmp", ".DS_Store")
]


@given(st.lists(st.sampled_from(_PATTERNS), max_size=5))
@settings(max_examples=150)
def test_what_is_ignored_is_what_dvc_ignores(tmp_path_factory, patterns):
    from dvc.fs import localfs
    from dvc.ignore import DvcIgnorePatterns

    root = tmp_path_factory.mktemp("r")
    (root / ".dvc").mkdir()
    (root / ".dvcignore").write_text("\n".join(patterns))
    dvc = DvcIgnorePatterns.from_file(str(root / ".dvcignore"), localfs, ".dvcignore")
    ours = ignored_in(root / "data")
    for path in _PATHS:
        folder, _, name = f"{root}/data/{path}".rpartition("/")
        assert ours(Path(path)) == dvc.matches(folder, name), (patterns, path)


def test_ignored_files_make_no_difference_to_the_status(tmp_path):
    repository = write_repository(tmp_path / "r", str(tmp_path / "remote"))
    (tmp_path / "remote").mkdir()
    data_md5 = hash_folder(_data(repository / "sub/data"))
    pin = write_pin(repository / "sub", data_md5)
    (repository / "sub/.dvcignore").write_text(".DS_Store\n/data/notes.txt\n")
    (repository / "sub/data/.DS_Store").touch()
    done = CliRunner().invoke(app, ["data", "status", "--pin", str(pin)])
    assert "as pinned" in done.output
    assert hash_folder(repository / "sub/data") != data_md5, "of a run on the folder"
    assert fetch(data_md5, str(repository / "sub/data")).name == "data"
    (repository / "sub/data/notes.txt").touch()
    with pytest.raises(SegError, match=r"notes\.txt, which \.dvcignore leaves out"):
        fetch(data_md5, str(repository / "sub/data"))
