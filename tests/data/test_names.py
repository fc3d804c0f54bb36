"""Names that differ in Unicode's normal form, odd names, and links."""

import json
import shutil
import unicodedata
from pathlib import Path

import pytest

from seglib.cli.data import app as data_commands
from seglib.data.dataset import scan_dataset
from seglib.data.manifest import open_dataset
from seglib.data.verification.loading import load_dataset
from seglib.data.verification.verifier import verify
from seglib.data.versions.sample_diff import diff
from seglib.errors import DatasetError, SegError
from seglib.steps.verify import write_verification
from seglib.steps.visualize import visualize
from seglib.storage.hashes import Entry, hash_folder

CAFE = unicodedata.normalize("NFC", "café")
CAFE_OF_MACOS = unicodedata.normalize("NFD", CAFE)
ODD_NAMES = [
    "two\nlines",
    "\x1b[31mred",
    "-rf",
    "a: b",
    " ",
    "x" * 240,
    "b\udcffd",
    "[red]",
]
SPLIT_FOLDERS = [
    f"{s}_{p}" for s in ("train", "val") for p in ("images", "segmentation")
]


def _problems(root: Path) -> list[str]:
    return [str(problem) for problem in scan_dataset(root).problems]


def _rename(folder, old: str, image: str, mask: str) -> None:
    folder.image("train", old).rename(folder.image("train", image))
    folder.mask("train", old).rename(folder.mask("train", mask))


def test_images_named_by_macos_find_their_masks(folder, tmp_path):
    _rename(folder, "a", CAFE_OF_MACOS, CAFE)
    verification = verify(folder.root)
    verification.raise_if_bad()
    write_verification(verification, tmp_path / "out")
    pairs = open_dataset(tmp_path / "out").pairs("train")
    assert [pair.stem for pair in pairs] == ["b", "c", CAFE]
    assert pairs[2].image.stem == CAFE_OF_MACOS  # the file keeps its name
    assert pairs[2].mask.stem == CAFE


def test_names_that_differ_in_normalization_alone_are_a_clash(folder):
    _rename(folder, "a", CAFE_OF_MACOS, CAFE)
    shutil.copy(folder.image("train", "b"), folder.image("train", CAFE))
    (problem,) = _problems(folder.root)
    assert "same stem as caf" in problem
    assert "only Unicode normalization (NFC, NFD) tells it apart" in problem


def test_class_names_are_the_same_in_either_form(folder):
    folder.describe(f"class_names: [{CAFE_OF_MACOS}, b, c]\nignore_index: 255")
    assert load_dataset(folder.root).class_names[0] == CAFE
    folder.describe(f"class_names: [{CAFE_OF_MACOS}, {CAFE}, c]")
    with pytest.raises(DatasetError, match="must be a list of different names"):
        load_dataset(folder.root)


def test_a_comparison_of_versions_pairs_the_files_of_either_form():
    paths = (f"train_images/{CAFE_OF_MACOS}.png", f"train_segmentation/{CAFE}.png")
    files = [Entry(path, "0" * 32) for path in (*paths, "train_images/._a.png")]
    found = diff("0.dir", [], "1.dir", files)
    assert [sample.stem for sample in found.added] == [CAFE]
    assert found.other_files == ("train_images/._a.png",)


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_odd_names_are_paired_written_down_and_shown(folder, tmp_path, name):
    _rename(folder, "a", name, name)
    shutil.copy(folder.image("train", "b"), folder.image("train", f"{name}2"))
    found = verify(folder.root)
    (problem,) = found.problems
    assert problem.path == folder.image("train", f"{name}2")
    assert problem.kind == "image-without-mask"
    problem.path.unlink()
    write_verification(verify(folder.root), tmp_path / "out")
    data = open_dataset(tmp_path / "out")
    assert name in [pair.stem for pair in data.pairs("train")]
    visualize(data, tmp_path / "pictures")
    assert hash_folder(folder.root).endswith(".dir")


def test_what_systems_leave_behind_changes_nothing(folder):
    before = load_dataset(folder.root)
    for name in ("._a.png", ".DS_Store", "Thumbs.db", "desktop.ini", "._dataset.yaml"):
        (folder.root / name).touch()
        (folder.root / "train_images" / name).touch()
    for name in ("__MACOSX", ".ipynb_checkpoints"):
        (folder.root / "train_images" / name).mkdir()
    assert load_dataset(folder.root) == before
    verification = verify(folder.root)
    assert verification.ok
    assert not verification.warnings


@pytest.fixture
def linked(folder, tmp_path) -> Path:
    """The same dataset, of which every split folder is a link to another place."""
    root = tmp_path / "linked"
    root.mkdir()
    shutil.copy(folder.root / "dataset.yaml", root)
    for name in SPLIT_FOLDERS:
        (root / name).symlink_to(folder.root / name)
    return root


def test_linked_folders_are_the_dataset_that_they_lead_to(folder, linked, tmp_path):
    data_md5 = hash_folder(linked)
    assert data_md5 == hash_folder(folder.root)
    verification = verify(linked)
    verification.raise_if_bad()
    write_verification(
        verification, tmp_path / "out", data_md5=data_md5, remote=str(linked)
    )
    assert len(open_dataset(tmp_path / "out").pairs("train")) == 3


def test_links_to_files_are_followed(folder, tmp_path):
    image = folder.image("train", "a")
    image.rename(tmp_path / "elsewhere.png")
    image.symlink_to(tmp_path / "elsewhere.png")
    assert verify(folder.root).ok


def test_links_that_lead_nowhere_or_back_are_named(folder, tmp_path):
    shutil.rmtree(folder.root / "val_images")
    (folder.root / "val_images").symlink_to("nowhere")
    (folder.root / "test_images").symlink_to("test_images")
    found = "\n".join(_problems(folder.root))
    assert "val_images: no such folder: a link to nowhere" in found
    assert "test_images: no such folder: a link to test_images" in found
    with pytest.raises(SegError, match=r"_images: cannot be read \(it is a link"):
        hash_folder(folder.root)


def test_a_link_to_a_folder_above_it_is_a_loop(folder):
    (folder.root / "train_images" / "up").symlink_to(folder.root)
    with pytest.raises(SegError, match=r"up: .*it is a link to a folder that holds it"):
        hash_folder(folder.root)


def test_what_dvc_leaves_out_is_said(linked, monkeypatch):
    from typer.testing import CliRunner

    monkeypatch.chdir(linked.parent)
    pin = json.dumps({"outs": [{"md5": "0" * 32 + ".dir", "path": "linked"}]})
    Path("linked.dvc").write_text(pin)
    Path("remote/files/md5").mkdir(parents=True)
    options = ["status", "--pin", "linked.dvc", "--remote", "remote"]
    told = " ".join(CliRunner().invoke(data_commands, options).output.split())
    assert "DVC leaves out the links to folders: train_images, train_segm" in told
