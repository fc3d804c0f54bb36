"""Pins of DVC, and the remotes of its configuration."""

import boto3
import pytest
from typer.testing import CliRunner

from seglib.cli.main import app
from seglib.errors import SegError, UsageError
from seglib.storage.hashes import hash_folder
from seglib.storage.pins import default_remote, load_pin, read_pin
from seglib.storage.remotes import open_remote, portable
from tests.fakes.dvc_files import write_pin, write_repository
from tests.storage.conftest import BUCKET

MD5 = "0" * 32 + ".dir"
pytestmark = pytest.mark.usefixtures("dvc_alone")


def test_hash_and_default_remote_are_those_that_dvc_wrote(pinned):
    assert hash_folder(pinned.data) == pinned.md5
    assert default_remote(pinned.repository) == str(pinned.remote)


def test_version_control_inside_of_a_dataset_is_not_part_of_its_hash(tmp_path):
    (tmp_path / "a.png").write_bytes(b"a")
    before = hash_folder(tmp_path)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_bytes(b"ref")
    assert hash_folder(tmp_path) == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not a pin of one folder"),
        ("- a", "not a pin of one folder"),
        ("7", "not a pin of one folder"),
        ("outs: []", "not a pin of one folder"),
        ("outs: [{md5: a}, {md5: b}]", "not a pin of one folder"),
        ("outs: [{path: x}]", "not a pin of one folder"),
        ("a: [", "not valid YAML"),
        ("[" * 20_000, r"not valid YAML \(more than 100 levels deep"),
        ("outs: [{md5: a, path: x}, {md5: b, path: y}]", r"of 2 outputs \(x, y\)"),
        ("outs: [{path: x}]\ndeps: [{path: s3://b/x}]", r"import from s3://b/x with"),
        (f"outs: [{{md5: {MD5}, path: x, cache: false}}]", r"`cache: false`"),
        (f"outs: [{{md5: {MD5}, path: x, push: false}}]", r"`push: false`"),
        ("outs: [{md5: d41d8cd98f}]", "hash of a folder.*Received: md5='d41d8cd98f"),
        (  # as `dvc push` to a cloud-versioned remote writes it
            "outs: [{path: x, hash: md5, files: [{cloud: {}}]}]",
            "DVC's cloud versioning",
        ),
        (None, "the pin cannot be read"),
    ],
)
def test_a_pin_that_is_not_read_is_refused_by_its_kind(tmp_path, text, told):
    if text is not None:
        (tmp_path / "data.dvc").write_text(text)
    with pytest.raises(SegError, match=rf"data\.dvc: .*{told}"):
        read_pin(tmp_path / "data.dvc")


def test_an_output_of_a_pipeline_is_named_with_its_hash(tmp_path):
    lock = f"stages:\n  prepare:\n    outs:\n    - path: data\n      md5: {MD5}\n"
    (tmp_path / "dvc.lock").write_text(lock)
    with pytest.raises(SegError, match=rf"output of the stage prepare .*{MD5}"):
        read_pin(tmp_path / "data.dvc")


def test_a_pin_says_where_its_folder_is(tmp_path):
    pin = load_pin(write_pin(tmp_path, MD5, top="wdir: ../other\n"))
    assert pin.folder.resolve() == (tmp_path.parent / "other/data").resolve()


def test_an_import_from_an_url_is_an_ordinary_pin(tmp_path):
    top = "deps:\n- path: https://host/data\n  etag: x\nfrozen: true\n"
    pin = write_pin(write_repository(tmp_path, "s3://bucket"), MD5, top=top)
    assert default_remote(pin) == "s3://bucket"


def test_an_import_is_named_with_its_repository(tmp_path):
    repository = "  repo:\n    url: ../source\n    rev_lock: 5b1f5a2\n"
    top = f"frozen: true\ndeps:\n- path: data\n{repository}"  # of `dvc import`
    pin = write_pin(write_repository(tmp_path, "s3://bucket"), MD5, top=top)
    with pytest.raises(SegError, match=r"an import from \S*source .*--remote.*dvc add"):
        default_remote(pin)
    done = CliRunner().invoke(app, ["data", "status", "--pin", str(pin)])
    assert "an import from" in str(done.exception)


def test_a_pin_in_a_subfolder_has_the_remote_of_its_repository(tmp_path):
    write_repository(tmp_path, "../remote")
    pin = write_pin(tmp_path / "deep/er", MD5)
    assert default_remote(pin) == str(tmp_path / "remote")
    assert default_remote(pin.parent) == str(tmp_path / "remote")


def test_a_pin_with_a_remote_of_its_own_is_read_from_there(tmp_path):
    write_repository(tmp_path, "s3://one", "['remote \"mine\"']\nurl = s3://two/x\n")
    assert default_remote(write_pin(tmp_path, MD5, out="remote: mine")) == "s3://two/x"


@pytest.mark.parametrize("made", [True, False])
def test_a_push_that_was_forgotten_is_told(tmp_path, made):
    pin = write_pin(write_repository(tmp_path / "r", str(tmp_path / "remote")), MD5)
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
    write_repository(tmp_path, "remote://base/data", more + "region = here\n")
    assert default_remote(tmp_path) == (
        "s3://bucket/all/data?endpointurl=http://mine&region=here"
    )


CLOUD = "['remote \"st\"']\nurl = s3://bucket\n"


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (None, "no default remote.*dvc remote add"),
        ("", "no default remote.*dvc remote add"),
        ("[core]\nremote = gone\n", "no such remote.*dvc remote add"),
        ("[core]\nremote = st\n['remote \"st\"']\nurl = remote://st/x", "no such rem"),
        ("[core]\nremote = st\n['remote \"st\"']\nurl = remote://no/x", "no such rem"),
        ("remote = a\n", r"\.dvc/config: cannot be read"),
        (
            f"[core]\nremote = st\n{CLOUD}version_aware = true\n",
            "remote st has `version_aware` set.*cloud",
        ),
        (
            f"[core]\nremote = st\n{CLOUD}worktree = true\n",
            "remote st has `worktree` set.*cloud",
        ),
    ],
)
def test_a_configuration_without_a_readable_remote_says_why(tmp_path, config, told):
    if config is not None:
        (tmp_path / ".dvc").mkdir()
        (tmp_path / ".dvc" / "config").write_text(config)
    with pytest.raises(SegError, match=told):
        default_remote(tmp_path)


@pytest.mark.parametrize(
    "scheme", ["gs", "azure", "ssh", "http", "https", "webdav", "hdfs", "oss", "gdrive"]
)
def test_a_type_of_remote_that_is_not_read_is_refused_by_its_name(tmp_path, scheme):
    write_repository(tmp_path, f"{scheme}://user:secret@host/data")
    with pytest.raises(SegError, match=rf"remote st is of the type {scheme},") as told:
        default_remote(tmp_path)
    assert "secret" not in str(told.value)
    with pytest.raises(UsageError, match=rf"scheme `{scheme}://`") as told:
        open_remote(f"{scheme}://user:secret@host/data")
    assert "secret" not in str(told.value)


def test_secrets_in_the_configuration_are_refused_and_not_shown(tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    keys = "['remote \"st\"']\naccess_key_id = AKIA1\nsecret_access_key = hush\n"
    write_repository(tmp_path, "s3://bucket", local=keys)
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
    write_repository(
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
