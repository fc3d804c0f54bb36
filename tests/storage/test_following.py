"""A model server's folder, kept at the newest publication of a name."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.waiting import HANG_S, wait_until
from seglib.cli.main import app
from seglib.errors import SegError
from seglib.storage.backends import object_key
from seglib.storage.pointers import Pointer, latest, move_latest, set_latest
from seglib.storage.publishing import follow, publish, versions
from seglib.storage.remotes import open_remote

NAME = "street/model"


@pytest.fixture
def export(tmp_path):
    """What `publish` gets: a SavedModel and what lies beside it."""
    return _export(tmp_path / "export", b"first")


@pytest.fixture
def url(tmp_path):
    return str(tmp_path / "remote")


def _export(root: Path, graph: bytes) -> Path:
    (root / "saved_model" / "variables").mkdir(parents=True, exist_ok=True)
    (root / "saved_model" / "saved_model.pb").write_bytes(graph)
    (root / "saved_model" / "variables" / "data").write_bytes(bytes(1000))
    (root / "contract.json").write_bytes(b"{}")
    return root


def _served(models: Path) -> list[bytes]:
    return [(path / "saved_model.pb").read_bytes() for path in versions(models)]


def test_the_newest_publication_is_a_version_of_its_own(export, url, tmp_path):
    models = tmp_path / "models" / "champion"
    publish(export, url, name=NAME)
    first = follow(url, NAME, models)
    assert first.parent == models
    assert sorted(p.relative_to(first).as_posix() for p in first.rglob("*")) == [
        "saved_model.pb",
        "variables",
        "variables/data",
    ]
    begun = int(first.name) / 1e6  # microseconds since 1970
    assert abs(begun - time.time()) < 3600
    assert int(first.name) < 2**63
    assert follow(url, NAME, models) is None
    publish(_export(export, b"second"), url, name=NAME)
    second = follow(url, NAME, models)
    assert int(second.name) > int(first.name)
    assert _served(models) == [b"first", b"second"]
    assert [path.name for path in models.parent.iterdir()] == ["champion"]


def test_a_rollback_is_a_new_version_even_with_a_clock_that_is_behind(
    export, url, tmp_path
):
    first = publish(export, url, name=NAME)
    publish(_export(export, b"second"), url, name=NAME)
    ahead = Pointer("2999-01-01T00:00:00.000000+00:00", latest(url, NAME).key, NAME)
    move_latest(open_remote(url), ahead)
    follow(url, NAME, tmp_path / "champion")
    set_latest(url, NAME, first.key)
    follow(url, NAME, tmp_path / "champion")
    assert _served(tmp_path / "champion") == [b"second", b"first"]


def test_old_versions_are_removed_and_strange_files_are_not(export, url, tmp_path):
    models = tmp_path / "champion"
    models.mkdir()
    (models / "models.config").write_text("not ours")
    for graph in (b"1", b"2", b"3", b"2"):  # the same again is a new version
        publish(_export(export, graph), url, name=NAME)
        follow(url, NAME, models, keep=2)
    assert _served(models) == [b"3", b"2"]
    assert (models / "models.config").is_file()


def test_what_cannot_be_served_leaves_what_is_there(export, url, tmp_path):
    models = tmp_path / "champion"
    Path(url).mkdir()
    with pytest.raises(SegError, match="nothing was published under the name"):
        follow(url, NAME, models)
    publish(export, url, name=NAME)
    follow(url, NAME, models)
    shutil.rmtree(export / "saved_model")
    published = publish(export, url, name=NAME)
    with pytest.raises(SegError, match="has no folder saved_model"):
        follow(url, NAME, models)
    (tmp_path / "remote" / object_key(published.key)).write_bytes(b"[]")
    with pytest.raises(SegError, match="md5"):
        follow(url, NAME, models)
    assert _served(models) == [b"first"]


def test_what_a_killed_one_left_is_removed(export, url, tmp_path):
    left = tmp_path / ".champion.0.part" / "datasets" / "half"
    left.mkdir(parents=True)
    (tmp_path / ".champion.0.part.lock").touch()
    publish(export, url, name=NAME)
    follow(url, NAME, tmp_path / "champion")
    assert not list(tmp_path.glob(".champion*"))


def test_the_command_looks_once(export, url, tmp_path):
    arguments = ["follow", url, NAME, str(tmp_path / "champion"), "--every", "0"]
    publish(export, url, name=NAME)
    runner = CliRunner()
    assert str(tmp_path / "champion") in runner.invoke(app, arguments).stdout
    assert runner.invoke(app, arguments).stdout == "nothing new\n"


def test_the_command_waits_for_a_publication_and_ends_at_sigterm(
    export, url, tmp_path, repository
):
    models = tmp_path / "champion"
    Path(url).mkdir()
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from seglib.cli.main import main; main()"),
            *("follow", url, NAME, str(models), "--every", "0.1"),
        ],
        cwd=repository,
        env={**os.environ, "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr
        assert "nothing was published" in process.stderr.readline()
        publish(export, url, name=NAME)
        wait_until(lambda: versions(models), process=process)
        assert _served(models) == [b"first"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(HANG_S) == 0
    finally:
        process.kill()
        process.communicate()
