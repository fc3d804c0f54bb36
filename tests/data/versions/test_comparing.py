"""Two versions that DVC added and pushed, compared with and without class counts."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from seglib.cli.main import app
from seglib.data.image_io import MASK_DECODING, write_image
from seglib.data.verification.verifier import verify
from seglib.data.versions import compare_versions, count_version, to_markdown
from seglib.data.versions.class_counts import read_class_counts, verified_counts
from seglib.errors import DatasetError
from seglib.storage.hashes import hash_folder, list_folder
from seglib.storage.remotes import open_remote
from tests.fakes.pushing import object_path, push


def _run(*command):
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.exception
    return done.stdout


def _classes(*options):
    """What `diff --format json` says of the classes, by split and name."""
    found = json.loads(_run("data", "diff", "v1", "v2", "--format", "json", *options))
    splits = {split["split"]: split for split in found["classes"]["splits"]}
    for split in splits.values():
        split["classes"] = {change["name"]: change for change in split["classes"]}
    return found["classes"], splits


def _fetched(versions):
    root = versions.repository.parent.parent / "cache" / "datasets"
    return sorted(p.relative_to(root).as_posix()[33:] for p in root.rglob("*.png"))


def _record(versions, data_md5):
    name = f"{data_md5.removesuffix('.dir')}.json.gz"
    return versions.remote / "seglib" / "class-counts" / str(MASK_DECODING) / name


def _object(versions, version, path):
    entries = {e.path: e.md5 for e in list_folder(versions.folder(version))}
    return object_path(versions.remote, entries[path])


def _check_all(splits):
    """Train v1 has 280 pixels that count and 20 ignored ones, v2 290 and 10."""
    train = splits["train"]["classes"]
    expected = {  # pixels, pixels, masks, masks, change
        "pole": (2, 0, 1, 0, "vanishes"),
        "bike": (0, 40, 0, 1, "appears"),
        "sky": (140, 100, 3, 2, ""),
        "car": (10, 30, 1, 2, ""),
        "road": (128, 120, 3, 3, ""),
    }
    assert list(train) == list(expected)  # what changed most comes first
    for name, (old, new, old_masks, new_masks, change) in expected.items():
        found = train[name]
        assert (found["old"]["pixels"], found["new"]["pixels"]) == (old, new)
        assert (found["old"]["masks"], found["new"]["masks"]) == (old_masks, new_masks)
        assert found["points"] == pytest.approx(100 * (new / 290 - old / 280))
        assert found["change"] == change
    assert splits["train"]["old"]["ignored_pixels"] == 20
    assert splits["train"]["new"]["ignored_pixels"] == 10
    assert {c["points"] for c in splits["val"]["classes"].values()} == {0}


def test_counts_beside_the_data_are_enough_to_compare(versions, tmp_path):
    for version in ("v1", "v2"):
        printed = _run("data", "count", version)
        assert "4 of 4 masks counted" in printed  # val has one mask twice
        assert "stored in" in printed
    shutil.rmtree(tmp_path / "cache")
    classes, splits = _classes()
    assert (classes["masks"], classes["uncounted"]) == ([5, 5], [0, 0])
    _check_all(splits)
    assert not (tmp_path / "cache").exists()  # nothing was downloaded


def test_without_counts_the_command_says_how_to_get_them(versions, tmp_path):
    text = _run("data", "diff", "v1", "v2")
    assert "unknown, because 5 of 5 masks before and 5 of 5 after are not" in text
    assert "seglib data count" in text
    assert "1 masks changed" in text
    assert not (tmp_path / "cache").exists()


def test_masks_that_the_other_version_has_too_count_as_counted(versions):
    _run("data", "count", "v1")
    classes, splits = _classes()
    assert classes["uncounted"] == [0, 2]  # b changed, and f is new
    assert not splits


def test_uncounted_masks_are_counted_on_demand_and_no_others(versions):
    _run("data", "count", "v1")
    shutil.rmtree(versions.repository.parent.parent / "cache" / "datasets")
    _check_all(_classes("--count")[1])
    assert _fetched(versions) == [
        "train_segmentation/b.png",
        "train_segmentation/f.png",
    ]


def test_counting_on_demand_writes_nothing_beside_the_data(versions):
    _check_all(_classes("--count")[1])
    assert not (versions.remote / "seglib").exists()
    assert not any("images" in path for path in _fetched(versions))


def test_verifying_and_counting_give_the_same(versions, tiny_root, tmp_path):
    data_md5 = push(tiny_root, versions.remote)
    found = verify(tiny_root)
    expected = verified_counts(found.pairs, found.dataset.ignore_index)
    done = count_version(data_md5, str(versions.remote), cache=tmp_path / "other")
    assert done.counted == done.known == len(expected) == 14
    assert read_class_counts(open_remote(str(versions.remote)), data_md5) == expected


def test_counting_again_moves_and_writes_nothing(versions):
    _run("data", "count", "v1")
    before = _record(versions, versions.v1).stat()
    again = count_version(versions.v1, str(versions.remote))
    assert (again.known, again.counted, again.written) == (4, 0, False)
    assert _record(versions, versions.v1).stat().st_mtime_ns == before.st_mtime_ns


def test_damaged_counts_are_noted_and_replaced(versions, tmp_path):
    _run("data", "count", "v1")
    path = _record(versions, versions.v1)
    good = path.read_bytes()
    for bad in (good[:-9], b"", b"{}", good.replace(good[40:50], bytes(10))):
        path.write_bytes(bad)
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        classes, _ = _classes()
        assert classes["uncounted"] == [5, 5]
        assert f"{path}: not the class counts" in classes["notes"][0]
    _run("data", "count", "v1")
    assert path.read_bytes() == good


def test_counts_of_another_version_are_refused(versions, tmp_path):
    _run("data", "count", "v1")
    shutil.copy(_record(versions, versions.v1), _record(versions, versions.v2))
    shutil.rmtree(tmp_path / "cache")
    classes, _ = _classes()
    assert classes["uncounted"] == [0, 2]
    assert "expected" in classes["notes"][0]


def test_a_mask_that_is_missing_on_the_remote_is_noted(versions):
    gone = _object(versions, "v2", "train_segmentation/f.png")
    gone.unlink()
    classes, _ = _classes("--count")
    assert classes["uncounted"] == [0, 1]
    assert classes["notes"][0].startswith("train_segmentation/f.png: ")
    assert "is missing" in classes["notes"][0]
    done = CliRunner().invoke(app, ["data", "count", "v2"])
    assert isinstance(done.exception, DatasetError)
    assert "1 mask(s) cannot be counted" in str(done.exception)


def test_a_mask_that_cannot_be_decoded_is_noted(versions):
    folder = versions.folder("v2")
    (folder / "train_segmentation" / "f.png").write_bytes(b"not a mask")
    broken = push(folder, versions.remote)
    found = compare_versions(versions.v1, broken, str(versions.remote), count=True)
    assert found.classes.uncounted == (0, 1)
    assert "f.png: not an image" in found.classes.notes[0]


def test_a_description_that_cannot_be_read_leaves_the_ids(versions):
    folder = versions.folder("v2")
    (folder / "dataset.yaml").write_text("class_names: [")
    broken = push(folder, versions.remote)
    found = compare_versions(versions.v1, broken, str(versions.remote), count=True)
    assert f"{broken}: dataset.yaml: not valid YAML" in found.classes.notes[0]
    assert "class_255" in {c.name for c in found.classes.splits[0].classes}


def test_a_configuration_says_what_the_description_does_not(versions, tmp_path):
    hashes = []
    for version in ("v1", "v2"):
        (versions.folder(version) / "dataset.yaml").unlink()
        hashes.append(push(versions.folder(version), versions.remote))
    config = tmp_path / "my.yaml"
    config.write_text("data:\n  ignore_index: 255\n  class_names: s,r,c,p,b\n")
    found = json.loads(
        _run(
            *("data", "diff", *hashes, "--count", "--format", "json"),
            *("--config", str(config)),
        )
    )
    train = found["classes"]["splits"][0]
    assert train["new"]["ignored_pixels"] == 10
    assert train["classes"][0]["name"] == "p"


def test_no_difference_has_no_classes(versions):
    found = json.loads(_run("data", "diff", "v1", "v1", "--format", "json"))
    assert found["classes"] is None
    markdown = _run("data", "diff", "v1", "v1", "--format", "markdown")
    assert markdown == f"**Dataset:** no difference (`{versions.v1}`)\n"


def test_a_table_shows_the_share_of_each_class(versions):
    text = _run("data", "diff", "v1", "v2", "--count")
    lines = [[c.strip() for c in line.split("│")[1:-1]] for line in text.splitlines()]
    assert ["pole", "0.71 %", "0.00 %", "vanishes", "-2", "1 → 0"] in lines
    assert ["sky", "50.00 %", "34.48 %", "-15.52", "-40", "3 → 2"] in lines
    assert ["(ignored)", "6.67 %", "3.33 %", "-3.33", "", ""] in lines
    assert "train: 3 masks" in text
    assert "val: 2 masks: as before" in text


def test_the_markdown_shows_the_share_of_each_class(versions):
    markdown = _run(*("data", "diff", "v1", "v2", "--count", "--format", "markdown"))
    assert markdown.startswith("**Dataset:** `")
    assert "| `pole` | 0.71 % | 0.00 % | vanishes | -2 | 1 → 0 |" in markdown
    assert "**val: 2 masks:** as before." in markdown


def test_names_in_a_pull_request_can_do_nothing_but_be_shown(versions):
    folder = versions.folder("v2")
    names = ["sky`| @everyone <img src=x>", "## line", "car", "pole", "bike"]
    (folder / "dataset.yaml").write_text(
        f"class_names: {json.dumps(names)}\nignore_index: 255\n"
    )
    for part in ("images", "segmentation"):
        path = folder / f"train_{part}" / "f.png"
        path.rename(path.with_name("f`@me.png"))
    other = push(folder, versions.remote)
    text = to_markdown(
        compare_versions(versions.v1, other, str(versions.remote), count=True)
    )
    assert "| `sky \\| @everyone <img src=x>` |" in text
    assert "| `## line` |" in text
    assert "- `train/f @me`" in text


def test_a_comment_takes_the_markdown_of_many_classes_with_long_names(versions):
    """GitHub refuses more than 65,536 characters."""
    hashes = []
    for version, shift in (("v1", 0), ("v2", 7)):
        folder = versions.folder(version)
        shutil.rmtree(folder)
        names = [f"{index} {'long ' * 200}" for index in range(150)]
        (folder / "train_segmentation").mkdir(parents=True)
        (folder / "dataset.yaml").write_text(f"class_names: {json.dumps(names)}\n")
        for split in ("train", "val", "test"):
            mask = (np.arange(1000).reshape(20, 50) // (3 + shift)).astype(np.uint8)
            for part in ("images", "segmentation"):
                name = f"{split}_{part}/{'long ' * 40}.png"
                write_image(folder / name, np.minimum(mask, 149))
        hashes.append(push(folder, versions.remote))
    found = compare_versions(*hashes, str(versions.remote), count=True)
    text = to_markdown(found)
    assert len(text) < 65_536
    assert "138 more" in text
    assert "… and 90 more" in text


def test_dvc_ignores_the_counts(versions):
    _run("data", "count", "v2")
    script = "import sys; from dvc.cli import main; sys.exit(main(sys.argv[1:]))"
    for command in ("gc --workspace --cloud --force", "status --cloud"):
        subprocess.run([sys.executable, "-c", script, *command.split()], check=True)
    assert _record(versions, versions.v2).exists()
    assert not _object(versions, "v1", "train_segmentation/c.png").exists()


def test_the_datasets_own_folder_is_never_written_to(versions):
    folder = versions.folder("v1")
    before = hash_folder(folder)
    done = CliRunner().invoke(app, ["data", "count", before, "--remote", str(folder)])
    assert "own folder" in str(done.exception)
    assert hash_folder(folder) == before
