"""`seglib data`, on a git repository with two versions of a dataset."""

import hashlib
import json
import shutil
import subprocess

import pytest
from typer.testing import CliRunner

from seglib.cli.main import app
from seglib.errors import SegError
from seglib.storage.hashes import hash_folder
from tests.fakes.pushing import push


def _git(repository, *command):
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *who, *command], cwd=repository, check=True)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """v1 and v2 of a dataset, both pushed; the folder is v2."""
    data, remote = tmp_path / "data", tmp_path / "remote"
    for name, content in {
        "dataset.yaml": b"num_classes: 2",
        **{f"train_images/{i}.png": b"image %d" % i for i in range(5)},
        **{f"train_segmentation/{i}.png": b"mask %d" % (i % 2) for i in range(5)},
        "val_images/a.png": b"val image",
        "val_segmentation/a.png": b"val mask",
    }.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(content)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text(
        "[core]\n    remote = here\n['remote \"here\"']\n    url = ../remote\n"
    )
    (tmp_path / ".gitignore").write_text("data\nremote\ncache\n")
    _git(tmp_path, "init", "--quiet")

    def pin(tag):
        text = f"outs:\n- md5: {push(data, remote)}\n  path: data\n"
        (tmp_path / "data.dvc").write_text(text)
        _git(tmp_path, "add", ".")
        _git(tmp_path, "commit", "--quiet", "-m", tag)
        _git(tmp_path, "tag", tag)

    pin("v1")
    (data / "dataset.yaml").write_bytes(b"num_classes: 3")
    for part in ("images", "segmentation"):
        shutil.move(data / f"train_{part}" / "0.png", data / f"val_{part}" / "0.png")
        (data / f"train_{part}" / "1.png").unlink()
        (data / f"train_{part}" / "new.png").write_bytes(b"new " + part.encode())
    (data / "train_segmentation" / "2.png").write_bytes(b"better mask")
    (data / "train_images" / "3.png").write_bytes(b"better image")
    pin("v2")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGLIB_CACHE", str(tmp_path / "cache"))
    return tmp_path


def _run(*command):
    return CliRunner().invoke(app, ["data", *command])


def test_a_diff_names_what_became_of_the_samples(repository):
    found = json.loads(_run("diff", "v1", "v2", "--format", "json").stdout)
    new, gone = ({"split": "train", "stem": stem} for stem in ("new", "1"))
    assert found["added"] == [new]
    assert found["removed"] == [gone]
    assert found["moved"] == [
        [{"split": "train", "stem": "0"}, {"split": "val", "stem": "0"}]
    ]
    assert [s["stem"] for s in found["changed_masks"]] == ["2"]
    assert [s["stem"] for s in found["changed_images"]] == ["3"]
    assert found["other_files"] == ["dataset.yaml"]
    moved = len(b"image 0") + len(b"mask 0")
    assert found["bytes_added"] - moved == len(
        b"num_classes: 3" + b"new images" + b"new segmentation"
        b"better mask" + b"better image"
    )
    assert not (repository / "cache").exists()  # nothing was downloaded


def test_a_diff_is_a_text_or_markdown(repository):
    text = _run("diff", "v1").stdout  # against the pin as it is
    assert "1 samples added" in text
    assert "1 masks changed" in text
    markdown = _run("diff", "v1", "HEAD", "--format", "markdown").stdout
    assert "| samples removed | 1 |" in markdown
    assert "- `train/new`" in markdown
    assert "no difference" in _run("diff", "v2").stdout


def test_a_version_is_fetched_by_its_revision(repository):
    done = _run("fetch", "v1")
    root = done.stdout.strip().rpartition(": ")[2]
    md5 = hash_folder(repository / "cache" / "datasets" / root.rpartition("/")[2])
    assert md5 in done.stdout
    shutil.rmtree(repository / ".git")
    again = _run("fetch", md5)  # without git
    assert again.exit_code == 0


def test_the_status_says_where_folder_pin_and_remote_differ(repository):
    done = _run("status")
    assert done.exit_code == 0
    assert "as pinned" in done.stdout
    assert "complete" in done.stdout
    (repository / "data" / "dataset.yaml").write_text("num_classes: 4")
    gone = hashlib.md5(b"val mask", usedforsecurity=False).hexdigest()
    (repository / "remote" / "files" / "md5" / gone[:2] / gone[2:]).unlink()
    done = _run("status")
    assert done.exit_code == 1
    assert "differs: `dvc add` pins it anew" in done.stdout
    assert "1 objects missing" in done.stdout


def test_a_push_check_names_what_the_remote_lacks(repository):
    assert _run("push-check").exit_code == 0
    gone = hashlib.md5(b"better mask", usedforsecurity=False).hexdigest()
    (repository / "remote" / "files" / "md5" / gone[:2] / gone[2:]).unlink()
    done = _run("push-check")
    assert done.exit_code == 1
    assert isinstance(done.exception, SegError)
    assert f"train_segmentation/2.png ({gone})" in str(done.exception)
    assert _run("push-check", "v1").exit_code == 0
    pin = hash_folder(repository / "data")
    (repository / "remote" / "files" / "md5" / pin[:2] / pin[2:]).unlink()
    done = _run("push-check")
    assert "the listing of the dataset" in str(done.exception)


def test_an_unknown_revision_is_refused_with_gits_word(repository):
    for revision in ("nowhere", "--output=x"):
        done = _run("diff", "--", revision)
        assert isinstance(done.exception, SegError)
        assert "or the dataset's hash" in str(done.exception)
