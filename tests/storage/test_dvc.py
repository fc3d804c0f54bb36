"""What `dvc pull` takes is taken without DVC, or refused by its name."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from seglib.cli.main import app
from seglib.errors import SegError, UsageError
from seglib.storage import (
    default_remote,
    fetch,
    hash_folder,
    load_pin,
    manifest_entries,
    missing_files,
    open_remote,
    portable,
    read_pin,
    with_sizes,
)
from seglib.storage.dvc.dvcignore import ignored_in
from seglib.storage.dvc.legacy import UnixDigest

BUCKET = "datasets"
FILES = {
    "dataset.yaml": b"class_names:\r\n- road\r\n- car\r\n",
    "train_images/a.png": b"\x89PNG\r\n\0" + bytes(range(256)),
    "train_images/empty.png": b"",
}
_IMPORT = """
import os, subprocess
from dvc.cli import main
def dvc(command):
    assert not main(command.split()), command
def git(*command):
    name = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    subprocess.run(["git", *name, *command], check=True)
for name in ("source", "copy"):
    os.makedirs(name + "-remote")
    os.makedirs(name)
    os.chdir(name)
    git("init", "-q")
    dvc("init --quiet")
    dvc(f"remote add --quiet --default st ../{name}-remote")
    if name == "source":
        os.makedirs("data")
        open("data/a", "w").write("a")
        dvc("add --quiet data")
        dvc("push --quiet")
        git("add", "-A")
        git("commit", "-qm", "a")
    else:
        dvc("import --quiet ../source data")
    os.chdir("..")
"""


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """No configuration of DVC but the test's own."""
    for level in ("GLOBAL", "SYSTEM"):
        monkeypatch.setenv(f"DVC_{level}_CONFIG_DIR", str(tmp_path / level.lower()))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))


def _repository(root: Path, url: str, more: str = "", *, local: str = "") -> Path:
    """A DVC repository whose default remote is `st`."""
    (root / ".dvc").mkdir(parents=True)
    text = f"[core]\nremote = st\n['remote \"st\"']\nurl = {url}\n{more}"
    (root / ".dvc/config").write_text(text)
    (root / ".dvc/config.local").write_text(local)
    return root


def _pin(root: Path, data_md5: str, out: str = "hash: md5", top: str = "") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    pin = root / "data.dvc"
    pin.write_text(f"outs:\n- md5: {data_md5}\n  path: data\n  {out}\n{top}")
    return pin


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
    repository = _repository(tmp_path / "r", url)
    pin = _pin(repository, data_md5, out="nfiles: 3")
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
@settings(deadline=None, max_examples=40)
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
@settings(deadline=None, max_examples=300)
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
    repository = _repository(tmp_path / "r", str(tmp_path / "remote"))
    (tmp_path / "remote").mkdir()
    data_md5 = hash_folder(_data(repository / "sub/data"))
    pin = _pin(repository / "sub", data_md5)
    (repository / "sub/.dvcignore").write_text(".DS_Store\n/data/notes.txt\n")
    (repository / "sub/data/.DS_Store").touch()
    done = CliRunner().invoke(app, ["data", "status", "--pin", str(pin)])
    assert "as pinned" in done.output
    assert hash_folder(repository / "sub/data") != data_md5, "of a run on the folder"
    assert fetch(data_md5, str(repository / "sub/data")).name == "data"
    (repository / "sub/data/notes.txt").touch()
    with pytest.raises(SegError, match=r"notes\.txt, which \.dvcignore leaves out"):
        fetch(data_md5, str(repository / "sub/data"))


# --- Pins -----------------------------------------------------------------------

MD5 = "0" * 32 + ".dir"


def test_an_import_is_named_and_read_from_its_own_remote(tmp_path):
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1", "HOME": str(tmp_path)}
    subprocess.run(
        [sys.executable, "-c", _IMPORT], cwd=tmp_path, env=environment, check=True
    )
    pin = tmp_path / "copy/data.dvc"
    with pytest.raises(SegError, match=r"an import from \S*source .*--remote.*dvc add"):
        default_remote(pin)
    done = CliRunner().invoke(app, ["data", "status", "--pin", str(pin)])
    assert "an import from" in str(done.exception)
    root = fetch(read_pin(pin), str(tmp_path / "source-remote"), cache=tmp_path / "c")
    assert (root / "a").read_text() == "a"


def test_an_import_from_an_url_is_an_ordinary_pin(tmp_path):
    top = "deps:\n- path: https://host/data\n  etag: x\nfrozen: true\n"
    pin = _pin(_repository(tmp_path, "s3://bucket"), MD5, top=top)
    assert default_remote(pin) == "s3://bucket"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("outs: [{md5: a, path: x}, {md5: b, path: y}]", r"of 2 outputs \(x, y\)"),
        ("outs: [{path: x}]\ndeps: [{path: s3://b/x}]", r"import from s3://b/x with"),
        (f"outs: [{{md5: {MD5}, path: x, cache: false}}]", r"`cache: false`"),
        (f"outs: [{{md5: {MD5}, path: x, push: false}}]", r"`push: false`"),
        ("[" * 20_000, r"not valid YAML \(more than 100 levels deep"),
    ],
)
def test_a_pin_that_is_not_read_is_refused_by_its_kind(tmp_path, text, told):
    (tmp_path / "data.dvc").write_text(text)
    with pytest.raises(SegError, match=told):
        read_pin(tmp_path / "data.dvc")


def test_an_output_of_a_pipeline_is_named_with_its_hash(tmp_path):
    lock = f"stages:\n  prepare:\n    outs:\n    - path: data\n      md5: {MD5}\n"
    (tmp_path / "dvc.lock").write_text(lock)
    with pytest.raises(SegError, match=rf"output of the stage prepare .*{MD5}"):
        read_pin(tmp_path / "data.dvc")


def test_a_pin_says_where_its_folder_is(tmp_path):
    pin = load_pin(_pin(tmp_path, MD5, top="wdir: ../other\n"))
    assert pin.folder.resolve() == (tmp_path.parent / "other/data").resolve()


def test_a_pin_in_a_subfolder_has_the_remote_of_its_repository(tmp_path):
    _repository(tmp_path, "../remote")
    pin = _pin(tmp_path / "deep/er", MD5)
    assert default_remote(pin) == str(tmp_path / "remote")
    assert default_remote(pin.parent) == str(tmp_path / "remote")


def test_a_pin_with_a_remote_of_its_own_is_read_from_there(tmp_path):
    _repository(tmp_path, "s3://one", "['remote \"mine\"']\nurl = s3://two/x\n")
    assert default_remote(_pin(tmp_path, MD5, out="remote: mine")) == "s3://two/x"


# --- Remotes --------------------------------------------------------------------


@pytest.mark.parametrize("made", [True, False])
def test_a_push_that_was_forgotten_is_told(tmp_path, made):
    pin = _pin(_repository(tmp_path / "r", str(tmp_path / "remote")), MD5)
    if made:
        (tmp_path / "remote").mkdir()
    for command in ("push-check", "fetch"):
        done = CliRunner().invoke(app, ["data", command, "--pin", str(pin)])
        assert isinstance(done.exception, SegError)
        assert "dvc push" in str(done.exception).replace("\n", " ")


def test_all_levels_of_the_configuration_count_as_in_dvc(tmp_path):
    from dvc.config import Config

    remote = "['remote \"St\"']\n    "
    for folder, text in {
        "system": "[core]\n    remote = st # a comment\n" + remote + "url = /there",
        "global": remote + "region = here\n    profile = 'a # b'",
        "r/.dvc": '[remote "st"]\nurl = "s3://bucket/a b"\n  endpointurl = http://e:1/',
    }.items():
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "config").write_text(text + "\n")
    local = "['remote \"st\"']\nendpointurl=http://f:2\ncredentialpath = keys\n"
    (tmp_path / "r/.dvc/config.local").write_text(local)
    url = default_remote(tmp_path / "r")
    place, _, query = url.partition("?")
    assert place == "s3://bucket/a b"
    assert query.split("&") == [
        f"credentialpath={tmp_path}/r/.dvc/keys",
        "endpointurl=http://f:2",
        "profile=a+%23+b",
        "region=here",
    ]
    assert portable(url) == "s3://bucket/a b?endpointurl=http://f:2&region=here"
    theirs = Config(str(tmp_path / "r/.dvc"))["remote"]["st"]
    assert theirs["url"] == place
    assert theirs["endpointurl"] == "http://f:2"
    assert theirs["profile"] == "a # b"
    assert str(theirs["credentialpath"]) == f"{tmp_path}/r/.dvc/keys"


def test_a_remote_that_names_another_adds_to_its_address(tmp_path):
    more = "endpointurl = http://mine\n['remote \"base\"']\nurl = s3://bucket/all\n"
    _repository(tmp_path, "remote://base/data", more + "region = here\n")
    assert default_remote(tmp_path) == (
        "s3://bucket/all/data?endpointurl=http://mine&region=here"
    )


@pytest.mark.parametrize("url", ["remote://st/x", "remote://none/x"])
def test_a_remote_that_leads_nowhere_is_named(tmp_path, url):
    with pytest.raises(SegError, match=r"no such remote"):
        default_remote(_repository(tmp_path, url))


@pytest.mark.parametrize(
    "scheme", ["gs", "azure", "ssh", "http", "https", "webdav", "hdfs", "oss", "gdrive"]
)
def test_a_type_of_remote_that_is_not_read_is_refused_by_its_name(tmp_path, scheme):
    _repository(tmp_path, f"{scheme}://user:secret@host/data")
    with pytest.raises(SegError, match=rf"remote st is of the type {scheme},") as told:
        default_remote(tmp_path)
    assert "secret" not in str(told.value)
    with pytest.raises(UsageError, match=rf"scheme `{scheme}://`") as told:
        open_remote(f"{scheme}://user:secret@host/data")
    assert "secret" not in str(told.value)


def test_secrets_in_the_configuration_are_refused_and_not_shown(tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    keys = "['remote \"st\"']\naccess_key_id = AKIA1\nsecret_access_key = hush\n"
    _repository(tmp_path, "s3://bucket", local=keys)
    with pytest.raises(SegError, match="`access_key_id`.*AWS_ACCESS_KEY_ID") as told:
        default_remote(tmp_path)
    assert "hush" not in str(told.value)
    assert "AKIA1" not in str(told.value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    assert default_remote(tmp_path) == "s3://bucket"


def test_endpoint_profile_and_region_of_a_remote_are_used(
    tmp_path, s3_server, monkeypatch
):
    (tmp_path / "keys").write_text(
        "[mine]\naws_access_key_id = a\naws_secret_access_key = b\n"
    )
    _repository(
        tmp_path / "r",
        f"s3://{BUCKET}/{tmp_path.name}",
        f"endpointurl = {s3_server}\nprofile = mine\nregion = eu-west-1\n"
        "credentialpath = ../../keys\n",
    )
    boto3.client("s3").put_object(
        Bucket=BUCKET, Key=f"{tmp_path.name}/a", Body=b"content"
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    remote = open_remote(default_remote(tmp_path / "r"))
    assert remote.read("a").content == b"content"
    assert remote.name("a") == f"s3://{BUCKET}/{tmp_path.name}/a"
    assert dict(remote.small(["a"])) == {"a": b"content"}


def test_an_unknown_setting_in_an_address_is_named():
    with pytest.raises(UsageError, match=r"`endpointrl`. Did you mean `endpointurl`"):
        open_remote("s3://bucket/x?endpointrl=http://host")
