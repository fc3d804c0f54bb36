"""A sample of each format is converted, there and back, and compared with the truth."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from seglib.cli.main import app
from seglib.data.conversion.converter import convert
from seglib.data.conversion.formats import FORMATS, find_format
from seglib.data.conversion.source import Source
from seglib.data.dataset import scan_dataset
from seglib.data.image_io import read_image, read_mask, write_image
from seglib.errors import DatasetError, UsageError
from seglib.storage.hashes import hash_folder
from tests.data.conversion.samples import (
    NAMES,
    SAMPLES,
    STEMS,
    pixels,
    save,
    truth,
)
from tests.fakes.dataset_folder import DatasetFolder

_NEEDS = {"coco": "pycocotools", "huggingface": "pyarrow"}
# Cityscapes' names of classes and samples are its own.
WRITTEN = [n for n, known in FORMATS.items() if known.write and n != "cityscapes"]


def need(name: str) -> None:
    if library := _NEEDS.get(name.partition(" ")[0]):
        pytest.importorskip(library, reason="pip install 'seglib[convert]'")


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_recognised_and_its_masks_and_images_are_those_of_its_tool(
    name: str, tmp_path: Path
) -> None:
    need(name)
    source = tmp_path / "source"
    SAMPLES[name](source)
    before = hash_folder(source)

    done = convert(source, tmp_path / "out")

    assert done.format == name.partition(" ")[0]
    assert (done.pairs, done.problems) == ({"train": 2, "val": 1}, ())
    assert done.verification
    assert done.verification.ok
    dataset = done.verification.dataset
    ids = [dataset.class_names.index(n) for n in NAMES]
    covered = 0 if name == "coco" else dataset.ignore_index  # it has no void
    expected = np.array([*ids, *[covered] * 253])[truth()]
    for split, stems in STEMS.items():
        pairs = dataset.splits[split]
        for pair, stem in zip(pairs, sorted(stems), strict=True):
            assert np.array_equal(read_mask(pair.mask), expected)
            if pair.image.suffix == ".png":
                assert np.array_equal(read_image(pair.image), pixels(stem))
    assert hash_folder(source) == before


@pytest.mark.parametrize("name", WRITTEN)
def test_a_dataset_comes_back_from_each_format_as_it_was(
    name: str, folder: DatasetFolder, tmp_path: Path
) -> None:
    need(name)
    convert(folder.root, tmp_path / "there", to=name)
    uncovered = "void" if name in ("coco", "labelme") else "background"
    done = convert(tmp_path / "there", tmp_path / "back", uncovered=uncovered)
    assert done.format == name
    dataset = scan_dataset(tmp_path / "back").dataset
    assert (dataset.class_names, dataset.ignore_index) == (("sky", "road", "car"), 255)
    for split, stems in {"train": "abc", "val": "de"}.items():
        for pair, stem in zip(dataset.splits[split], stems, strict=True):
            assert np.array_equal(read_mask(pair.mask), folder.ids())
            assert pair.image.read_bytes() == folder.image(split, stem).read_bytes()


def test_cityscapes_is_written_with_label_ids_and_train_ids_of_the_same_pixels(
    folder: DatasetFolder, tmp_path: Path
) -> None:
    folder.image("train", "b").rename(folder.root / "train_images" / "bonn_1.png")
    mask = folder.root / "train_segmentation" / "b.png"
    mask.rename(mask.with_stem("bonn_1"))
    jpeg = folder.root / "train_images" / "c.jpg"
    write_image(jpeg, folder.pixels("c"))
    (folder.root / "train_images" / "c.png").unlink()
    done = convert(folder.root, tmp_path / "there", to="cityscapes")
    told = [r.where for r in done.notes if "not a name of cityscapes" in r.what]
    assert "bonn_1 → bonn_000000_000001" in told
    assert len(told) == 5
    name = "bonn/bonn_000000_000001"
    images = tmp_path / "there" / "leftImg8bit" / "train"
    copy = images / f"{name}_leftImg8bit.png"
    assert copy.read_bytes() == folder.image("train", "bonn_1").read_bytes()
    png = images / "c" / "c_000000_000000_leftImg8bit.png"
    assert np.array_equal(read_image(png), read_image(jpeg))
    masks = tmp_path / "there" / "gtFine" / "train"
    for kind, ids in (
        ("labelIds", (23, 7, 26, 0)),
        ("labelTrainIds", (10, 0, 13, 255)),
    ):
        table = np.zeros(256, np.uint8)
        table[[0, 1, 2, 255]] = ids
        written = read_mask(masks / f"{name}_gtFine_{kind}.png")
        assert np.array_equal(written, table[folder.ids()])

    for back in ("of train ids", "of label ids"):
        dataset = scan_dataset(_converted(tmp_path / "there", tmp_path / back)).dataset
        assert dataset.num_classes == 19
        table = np.full(256, 255, np.uint8)
        table[:3] = [dataset.class_names.index(name) for name in NAMES]
        for pair in (*dataset.splits["train"], *dataset.splits["val"]):
            assert np.array_equal(read_mask(pair.mask), table[folder.ids()])
        stems = [pair.stem for pair in dataset.splits["train"]]
        assert stems == ["a_000000_000000", "bonn_000000_000001", "c_000000_000000"]
        for mask in (tmp_path / "there").rglob("*_labelTrainIds.png"):
            mask.unlink()


def _converted(source: Path, out: Path) -> Path:
    convert(source, out)
    return out


def test_a_class_that_cityscapes_does_not_have_is_named_with_the_nearest(
    folder: DatasetFolder, tmp_path: Path
) -> None:
    text = "class_names: [sky, roads, car]\nignore_index: 255\n"
    (folder.root / "dataset.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"`roads`. Did you mean `road`.*dataset.yaml"):
        convert(folder.root, tmp_path / "out", to="cityscapes")
    assert not (tmp_path / "out").exists()


def test_the_command_tells_format_pairs_classes_and_what_was_left_out(
    tmp_path: Path,
) -> None:
    source = tmp_path / "source"
    SAMPLES["labelme"](source)
    (source / "train" / "one_a.json").unlink()
    command = ["convert", str(source), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    for told in (
        "format: labelme",
        "1 × an image without annotation",
        "train/one_a",
        "1 train, 1 val",
        "4 classes: background, sky, road, car",
        "clean:",
    ):
        assert told in done.output


def test_lost_samples_make_the_exit_status_1_and_the_others_are_written(
    tmp_path: Path,
) -> None:
    source = tmp_path / "source"
    SAMPLES["colours camvid"](source)
    for mask in (source / "train_labels").iterdir():
        save(mask, np.full((*truth().shape, 3), (7, 14, 21), np.uint8))
    command = ["convert", str(source), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1
    assert "2 × 1 of its colours are of no class in the list of classes" in done.output
    assert "(7, 14, 21) in 192 pixels" in done.output
    assert "and 1 more" in done.output
    assert "out: 1 val" in done.output


def test_an_image_that_is_named_by_a_path_of_another_machine_is_found_inside(
    tmp_path: Path,
) -> None:
    need("coco")
    source = tmp_path / "source"
    SAMPLES["coco"](source)
    path = source / "annotations" / "instances_train2017.json"
    text = path.read_text().replace("one_a.png", "../../media/upload/one_a.png")
    path.write_text(text.replace("two_b.png", r"D:\\shots\\train2017\\two_b.png"))
    assert convert(source, tmp_path / "out").pairs == {"train": 2, "val": 1}


def test_images_without_annotation_become_background_where_that_is_asked_for(
    tmp_path: Path,
) -> None:
    source = tmp_path / "source"
    SAMPLES["labelme"](source)
    (source / "train" / "one_a.json").unlink()
    done = convert(source, tmp_path / "out", unlabelled="background")
    assert done.pairs == {"train": 2, "val": 1}
    assert not read_mask(tmp_path / "out" / "train_segmentation" / "one_a.png").any()


def test_all_formats_look_at_one_listing_of_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    SAMPLES["labelme"](source)
    listed: list[object] = []
    walk = os.walk
    monkeypatch.setattr(os, "walk", lambda *a, **k: listed.append(a) or walk(*a, **k))
    assert find_format(Source(source)) == ("labelme", [])
    assert len(listed) == 1


def test_a_folder_of_no_format_is_told_what_each_of_them_expects(
    tmp_path: Path,
) -> None:
    with pytest.raises(DatasetError, match="no format fits") as caught:
        convert(tmp_path, tmp_path.with_name("out"))
    for name, known in FORMATS.items():
        assert f"{name}: {known.files}" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"source_format": "labelmee"}, "Did you mean `labelme`"),
        ({"to": "cocoo"}, "Did you mean `coco`"),
        ({"to": "cityscape"}, "Did you mean `cityscapes`"),
        ({"split": "0.8/x"}, "--split must be"),
        ({"split": "1/-1"}, "--split must be"),
        ({"group_by": "sequence"}, "--group-by needs shares"),
        ({"split": "8/2", "group_by": "("}, "--group-by"),
        ({"split": "8/2", "group_by": "xyz"}, "finds nothing in the name"),
        ({"unlabelled": "x"}, "leave-out or background"),
        ({"uncovered": "x"}, "background or void"),
    ],
)
def test_a_wrong_option_is_wrong_use_and_nothing_is_written(
    options: dict, told: str, folder: DatasetFolder, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=told):
        convert(folder.root, tmp_path / "out", **options)
    assert [path.name for path in tmp_path.iterdir()] == [folder.root.name]


def test_neither_folder_may_lie_in_the_other_and_the_new_one_must_be_new(
    folder: DatasetFolder,
) -> None:
    for out in (folder.root / "new", folder.root.parent, folder.root):
        with pytest.raises(UsageError):
            convert(folder.root, out)


def test_folders_of_images_and_masks_of_ids_need_no_list_of_classes(
    tmp_path: Path,
) -> None:
    source = tmp_path / "source"
    for stem in ("a", "b"):
        save(source / "images" / f"{stem}.png", pixels(stem))
        save(source / "masks" / f"{stem}.png", truth())
    done = convert(source, tmp_path / "out", split="1/1")
    assert done.format == "colours"
    assert done.class_names == ("class_0", "class_1", "class_2")
    assert done.verification
    assert done.verification.dataset.ignore_index == 255


def test_a_split_without_a_labelled_pixel_is_left_out_and_told(tmp_path: Path) -> None:
    """Such as the test split of Cityscapes, whose masks are published empty."""
    source = tmp_path / "source"
    SAMPLES["cityscapes"](source)
    image = "leftImg8bit/test/bonn/bonn_000000_000019_leftImg8bit.png"
    mask = "gtFine/test/bonn/bonn_000000_000019_gtFine_labelIds.png"
    save(source / image, pixels("x"))
    save(source / mask, np.zeros_like(truth()))
    done = convert(source, tmp_path / "out")
    assert done.pairs == {"train": 2, "val": 1}
    assert [r.where for r in done.notes if "without a labelled" in r.what] == ["test"]


def test_cocos_library_is_asked_for_where_it_is_missing(
    folder: DatasetFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools.mask", None)
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(UsageError, match=r"pip install 'seglib\[convert\]'"):
        convert(folder.root, tmp_path / "out", to="coco")
    assert not (tmp_path / "out").exists()
