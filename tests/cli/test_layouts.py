"""Folders as users have them: named, with the one command that makes a dataset."""

import shlex
import shutil

import numpy as np
import pytest

from seglib.data.image_io import read_mask, write_image
from seglib.data.verification.loading import load_dataset
from tools.sample_scenes import PALETTE

# Of an image and of its mask, below the folder.
LAYOUTS = {
    "two folders": ("images/{}.png", "masks/{}.png", "images in images/, masks in"),
    "a suffix": ("images/{}.png", "labels/{}_mask.png", "masks in labels/"),
    "one folder": ("{}.png", "{}_mask.png", "side by side in one folder"),
    "splits inside": ("images/{split}/{}.png", "masks/{split}/{}.png", "images/train/"),
    "splits outside": ("{split}/images/{}.png", "{split}/masks/{}.png", "train/images"),
}


def _folder(root, tiny_root, image, mask, change=None):
    """The train and val splits of the tiny scenes in another layout."""
    for split in ("train", "val"):
        for source in sorted((tiny_root / f"{split}_images").iterdir()):
            places = [root / p.format(source.stem, split=split) for p in (image, mask)]
            for place in places:
                place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, places[0])
            ids = read_mask(tiny_root / f"{split}_segmentation" / source.name)
            write_image(places[1], change(ids) if change else ids)
    return root


def _advised(seglib, root, *, told):
    """What the command that `verify` and `train` print makes of a folder."""
    commands = []
    for command in ("verify", "train"):
        code, printed = seglib(command, root)
        assert code == 2, printed
        assert told in printed
        commands.append(printed.rpartition(" seglib ")[2])  # the end of the error
    assert len(set(commands)) == 1
    words = shlex.split(commands[0])
    code, printed = seglib(*words)
    assert code == 0, printed
    return load_dataset(words[words.index("--out") + 1])


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_named_with_the_command_that_converts_it(
    seglib, tiny_root, tmp_path, name
):
    image, mask, told = LAYOUTS[name]
    root = _folder(tmp_path / "mine", tiny_root, image, mask)
    dataset = _advised(seglib, root, told=told)
    assert sum(map(len, dataset.splits.values())) == 11
    assert set(dataset.splits) == {"train", "val"}


def test_lists_of_names_divide_one_folder(seglib, tiny_root, tmp_path):
    root = _folder(tmp_path / "mine", tiny_root, "i/{}.png", "masks/{}.png")
    (root / "i").rename(root / "images")
    (root / "train.txt").write_text("".join(f"train_{n}\n" for n in range(7)))
    (root / "val.txt").write_text("images/train_7.png masks/train_7.png\nval_0\n")
    dataset = _advised(seglib, root, told="images in images/")
    assert len(dataset.splits["train"]) == 9  # two are in no list
    assert [pair.stem for pair in dataset.splits["val"]] == ["train_7", "val_0"]


def test_colours_without_a_list_of_classes_are_classes(seglib, tiny_root, tmp_path):
    table = np.zeros((256, 3), np.uint8)
    table[: len(PALETTE)] = PALETTE
    places = "images/{}.png", "masks/{}.png"
    root = _folder(tmp_path / "mine", tiny_root, *places, lambda ids: table[ids])
    dataset = _advised(seglib, root, told="the masks hold colours")
    red, green, blue = PALETTE[0]
    assert f"colour_{red:02x}{green:02x}{blue:02x}" in dataset.class_names
    assert "colour_000000" in dataset.class_names  # what was ignored


def test_coco_is_named_with_its_command(seglib, tiny_root, tmp_path):
    seglib("convert", tiny_root, "--out", tmp_path / "mine", "--to", "coco")
    dataset = _advised(seglib, tmp_path / "mine", told="the format `coco`")
    assert [len(pairs) for pairs in dataset.splits.values()] == [8, 3, 3]


def test_names_of_masks_are_fixed_by_the_command_that_is_printed(
    seglib, tiny_root, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    root = shutil.copytree(tiny_root, tmp_path / "mine")
    for mask in (root / "val_segmentation").iterdir():
        mask.rename(mask.with_stem(f"{mask.stem}_mask"))
    for command in ("verify", "train"):
        code, printed = seglib(command, root)
        assert code == 1
        assert "seglib fix" in printed
    command = printed.rpartition(" seglib ")[2]
    code, printed = seglib(*shlex.split(command))
    assert code == 0, printed
    assert len(load_dataset(tmp_path / "mine-fixed").splits["val"]) == 3


def test_a_folder_of_something_else_gets_no_command(seglib, tmp_path):
    (tmp_path / "notes.md").write_text("mine")
    code, printed = seglib("train", tmp_path)
    assert code == 1
    assert "no split found" in printed
    assert "seglib convert" not in printed
    assert [path.name for path in tmp_path.iterdir()] == ["notes.md"]
