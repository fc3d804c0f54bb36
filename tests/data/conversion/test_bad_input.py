"""Faults of sources: each is told with its place, and nothing outside is touched."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seglib.data.conversion.converter import Conversion, convert
from seglib.data.image_io import read_image, read_mask, write_image
from seglib.errors import DatasetError, SegError, UsageError
from tests.data.conversion import samples

Change = Callable[[Path], object]


def document(name: str, change: Callable[[Any], object]) -> Change:
    """Change a JSON file of a source."""

    def apply(root: Path) -> None:
        path = root / name
        tree = json.loads(path.read_text())
        change(tree)
        path.write_text(json.dumps(tree))

    return apply


def labelme(change: Callable[[Any], object]) -> Change:
    return document("train/one_a.json", change)


def coco(change: Callable[[Any], object]) -> Change:
    return document("annotations/instances_train2017.json", change)


def shape(**entries: object) -> Change:
    return labelme(lambda tree: tree["shapes"][0].update(entries))


def annotation(**entries: object) -> Change:
    return coco(lambda tree: tree["annotations"][0].update(entries))


def truncate(name: str) -> Change:
    def apply(root: Path) -> None:
        content = (root / name).read_bytes()
        (root / name).write_bytes(content[: len(content) // 2])

    return apply


def remove(name: str) -> Change:
    return lambda root: (root / name).unlink()


def text(name: str, content: str) -> Change:
    return lambda root: (root / name).write_text(content)


def colour(root: Path) -> None:
    pixels = samples.coloured()
    pixels[0, :5] = 1, 2, 3
    write_image(root / "train_labels" / "one_a_L.png", pixels)


def ids(value: int) -> Change:
    def apply(root: Path) -> None:
        mask = np.where(samples.truth() == 0, value, samples.truth())
        path = root / "annotations_prepped_train" / "one_a.png"
        write_image(path, mask.astype(np.uint8))

    return apply


FAR = [[0, 0], [1e9, 0], [5, 5]]
OUTSIDE = [[-3, -3], [20, 0], [5, 9]]
RUNS = {"size": [12, 16], "counts": [5, 5]}
SMALL = {"size": [3, 3], "counts": [4, 5]}
BROKEN = {"size": [12, 16], "counts": "~~\x7f~"}
UNFINISHED = {"size": [12, 16], "counts": "1oo"}
LONG = {"size": [12, 16], "counts": "555"}

# What is converted all the same, with a problem (a lost sample) or a note.
TOLD: dict[str, tuple[str, Change, str, str]] = {
    "damaged JSON": (
        *("labelme", truncate("train/one_a.json")),
        *("problem", r"no JSON, or damaged, at line 1, column"),
    ),
    "no list of shapes": (
        *("labelme", labelme(lambda tree: tree.update(shapes=3))),
        *("problem", "no list of `shapes`"),
    ),
    "a shape without label": (
        *("labelme", shape(label=None)),
        *("problem", "shape 1 has no `label`"),
    ),
    "JSON without image": (
        *("labelme", remove("train/one_a.png")),
        *("problem", "image 'one_a.png' is not there"),
    ),
    "image without JSON": (
        *("labelme", remove("train/one_a.json")),
        *("note", "an image without annotation: left out"),
    ),
    "another size than the file's": (
        *("labelme", labelme(lambda tree: tree.update(imageHeight=13))),
        *("problem", "for 13×16 pixels, and the image has 12×16"),
    ),
    "an absolute path": (
        *("labelme", labelme(lambda tree: tree.update(imagePath="/etc/hostname"))),
        *("problem", "leads out of the source"),
    ),
    "a path of Windows": (
        *("labelme", labelme(lambda tree: tree.update(imagePath=r"C:\a\b.png"))),
        *("problem", "leads out of the source"),
    ),
    "a path that leads out": (
        *("labelme", labelme(lambda tree: tree.update(imagePath="../../other/a.png"))),
        *("problem", "leads out of the source"),
    ),
    "a polygon of two points": (
        *("labelme", shape(shape_type="polygon")),
        *("note", "a polygon with fewer"),
    ),
    "points that are text": (
        *("labelme", shape(points="x")),
        *("note", "points are no pairs of numbers"),
    ),
    "points that are not finite": (
        *("labelme", shape(points=[[0, 0], [float("nan"), 1]])),
        *("note", "points are no pairs of numbers"),
    ),
    "an unknown type of shape": (
        *("labelme", shape(shape_type="spline")),
        *("note", "unknown type 'spline'"),
    ),
    "a mask that is no PNG": (
        *("labelme", shape(shape_type="mask", mask="AAAA")),
        *("note", "no PNG in base64"),
    ),
    "points outside": (
        *("labelme", shape(points=OUTSIDE, shape_type="polygon")),
        *("note", "points outside of the image"),
    ),
    "points far outside": (
        *("labelme", shape(points=FAR, shape_type="polygon")),
        *("note", "far outside"),
    ),
    "COCO: points far outside": (
        *("coco", annotation(segmentation=[[0, 0, 1e9, 0, 5, 5]])),
        *("note", "far outside"),
    ),
    "COCO: points outside": (
        *("coco", annotation(segmentation=[[-3, -3, 20, 0, 5, 9]])),
        *("note", "points outside of the image"),
    ),
    "COCO: two points": (
        *("coco", annotation(segmentation=[[1, 2, 3, 4]])),
        *("note", "fewer than 3 points"),
    ),
    "COCO: an odd number": (
        *("coco", annotation(segmentation=[[1, 2, 3, 4, 5, 6, 7]])),
        *("note", "no pairs of numbers"),
    ),
    "COCO: no segmentation": (
        *("coco", annotation(segmentation=[])),
        *("note", "without a segmentation"),
    ),
    "COCO: runs that end early": (
        *("coco", annotation(segmentation=RUNS)),
        *("note", "does not fill its image"),
    ),
    "COCO: runs of another size": (
        *("coco", annotation(segmentation=SMALL)),
        *("note", "of size \\[3, 3\\]"),
    ),
    "COCO: damaged runs": (
        *("coco", annotation(segmentation=BROKEN)),
        *("note", "damaged run-length encoding"),
    ),
    "COCO: runs that end within a number": (
        *("coco", annotation(segmentation=UNFINISHED)),
        *("note", "damaged run-length encoding"),
    ),
    "COCO: compressed runs that do not fit": (
        *("coco", annotation(segmentation=LONG)),
        *("note", "does not fill its image"),
    ),
    "COCO: runs that are no whole numbers": (
        *("coco", annotation(segmentation={"size": [12, 16], "counts": [0.5, 191.5]})),
        *("note", "does not fill its image"),
    ),
    "COCO: a polygon without area": (
        *("coco", annotation(segmentation=[[3, 3, 3, 3, 3, 3]])),
        *("note", "a shape that covers no pixel"),
    ),
    "COCO: a polygon beside the image": (
        *("coco", annotation(segmentation=[[-9, 0, -1, 0, -1, 9]])),
        *("note", "a shape that covers no pixel"),
    ),
    "COCO: an unknown category": (
        *("coco", annotation(category_id=3)),
        *("note", "of a category that is not listed"),
    ),
    "COCO: an unknown image": (
        *("coco", annotation(image_id=77)),
        *("note", "of an image that is not listed"),
    ),
    "COCO: category ids with gaps": (
        *("coco", lambda _root: None),
        *("note", "category ids with gaps"),
    ),
    "COCO: two categories of one name": (
        *("coco", coco(lambda tree: tree["categories"][1].update(name="sky"))),
        *("note", "categories of one name are one class"),
    ),
    "COCO: an image that is not there": (
        *("coco", remove("train2017/one_a.png")),
        *("problem", "the image 'one_a.png' is not below"),
    ),
    "COCO: another size": (
        *("coco", coco(lambda tree: tree["images"][0].update(height=9))),
        *("problem", "for 9×16 pixels, and the image has 12×16"),
    ),
    "an image that is none": (
        *("coco", text("train2017/one_a.png", "no image")),
        *("problem", "not an image, or a damaged one"),
    ),
    "panoptic: no PNG": (
        *("coco-panoptic", remove("annotations/panoptic_train2017/one_a.png")),
        *("problem", "the segments 'one_a.png' are not in panoptic_train2017/"),
    ),
    "an unknown colour": (
        *("colours camvid", colour),
        *("problem", r"1 of its colours are of no class .* \(1, 2, 3\) in 5 pixels"),
    ),
    "a mask without image": (
        *("colours camvid", remove("train/one_a.png")),
        *("problem", "a mask without its image"),
    ),
    "an image without mask": (
        *("colours camvid", remove("train_labels/one_a_L.png")),
        *("note", "an image without annotation"),
    ),
    "an id without class": (
        *("keras_segmentation", ids(7)),
        *("problem", "the ids .*7.* are no classes. Expected 0 … 2"),
    ),
    "VOC: a listed name without image": (
        *("voc", remove("JPEGImages/one_a.png")),
        *("problem", "a listed name without an image"),
    ),
    "metadata that names no file": (
        *("huggingface folder", remove("train/one_a.png")),
        *("problem", "one_a.png is not there"),
    ),
}


def converted(name: str, change: Change, tmp_path: Path) -> Conversion:
    source = tmp_path / "source"
    if name.startswith("coco"):
        pytest.importorskip("pycocotools", reason="pip install 'seglib[convert]'")
    samples.SAMPLES[name](source)
    change(source)
    return convert(source, tmp_path / "out", source_format=name.partition(" ")[0])


@pytest.mark.parametrize("fault", TOLD)
def test_a_fault_of_one_sample_is_told_and_the_others_are_converted(
    fault: str, tmp_path: Path
) -> None:
    name, change, kind, pattern = TOLD[fault]
    done = converted(name, change, tmp_path)
    told = done.problems if kind == "problem" else done.notes
    assert any(re.search(pattern, remark.what) for remark in told), told
    assert done.pairs["val"] == 1
    assert done.verification
    assert done.verification.ok
    assert bool(done.problems) == (kind == "problem")
    is_lost = kind == "problem" or "an image without annotation" in pattern
    assert done.pairs["train"] == (1 if is_lost else 2)


# What makes the whole source unfit.
REFUSED: dict[str, tuple[str, Change, str]] = {
    "COCO: damaged": (
        *("coco", truncate("annotations/instances_train2017.json")),
        r"instances_train2017.json: no JSON, or damaged, at line 1, column \d+",
    ),
    "COCO: no lists": (
        *("coco", coco(lambda tree: tree.update(categories={}))),
        "expected a list of objects, `categories`",
    ),
    "COCO: an image id twice": (
        *("coco", coco(lambda tree: tree["images"][1].update(id=1))),
        "image id 1 is that of 'one_a.png' and of 'two_b.png'",
    ),
    "COCO: a category id twice": (
        *("coco", coco(lambda tree: tree["categories"][1].update(id=5))),
        "category id 5 is that of 'sky' and of 'road'",
    ),
    "COCO: an image without name": (
        *("coco", coco(lambda tree: tree["images"][1].pop("file_name"))),
        "expected `id` and `file_name` of each image",
    ),
    "two classes of one colour": (
        "colours camvid",
        text("class_dict.csv", "name,r,g,b\na,1,2,3\nb,1,2,3\n"),
        r"the classes `a`, `b` have one colour, \(1, 2, 3\)",
    ),
    "a name twice": (
        "colours camvid",
        text("class_dict.csv", "name,r,g,b\na,1,2,3\na,1,2,4\n"),
        "the name `a` is there twice",
    ),
    "a colour that is none": (
        "colours camvid",
        text("class_dict.csv", "name,r,g,b\na,1,2,300\n"),
        "each 0 … 255. Received: \\(1, 2, 300\\)",
    ),
    "a colour that is not finite": (
        "colours mapillary",
        text("config.json", '{"labels": [{"name": "a", "color": [1e999, 0, 0]}]}'),
        "expected `name` and `color`",
    ),
    "a colour of too many digits": (
        "colours camvid",
        text("class_dict.csv", f"name,r,g,b\na,1,2,3\nb,1,2,{'9' * 5000}\n"),
        "expected rows of name,r,g,b",
    ),
    "a label of too many digits": (
        "voc",
        text("labelmap.txt", f"a:1,2,3::\nb:1,2,{'9' * 5000}::\n"),
        "expected all lines to be like the first one",
    ),
    "an id beyond all classes": (
        "huggingface folder",
        text("id2label.json", '{"0": "a", "999999999": "b"}'),
        "ids of classes are 0 … .*Received: 999,999,999",
    ),
    "a list of another kind": (
        *("colours mapillary", text("config.json", '{"labels": [{"name": "a"}]}')),
        "expected `name` and `color`",
    ),
    "a label that is not in the list": (
        *("labelme", shape(label="skyy")),
        "Did you mean `sky`",
    ),
    "metadata without a mask": (
        *("huggingface folder", text("train/metadata.jsonl", '{"file_name": "a"}')),
        "one column of images, and one whose name tells a mask",
    ),
    "a damaged table": (
        *("huggingface parquet", truncate("data/train-00000-of-00001.parquet")),
        "a damaged table .ArrowInvalid: Parquet magic",
    ),
    "no pair at all": (
        *("keras_segmentation", lambda root: [p.unlink() for p in root.rglob("*.png")]),
        "nothing to convert",
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_source_that_nobody_can_understand_is_refused_and_nothing_is_written(
    fault: str, tmp_path: Path
) -> None:
    name, change, pattern = REFUSED[fault]
    with pytest.raises(SegError, match=pattern):
        converted(name, change, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_images_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason="pip install 'seglib[convert]'")
    source, images, annotations = tmp_path / "source", [], []
    for number, folder in enumerate(("first", "second", "third"), start=1):
        samples.save(source / folder / "1.png", samples.pixels(folder))
        name = "1.png" if folder == "third" else f"{folder}/1.png"
        images.append({"id": number, "file_name": name, "height": 12, "width": 16})
        corners = [0, 0, 16, 0, 16, 12, 0, 12]
        category = {"image_id": number, "category_id": number * 400}
        annotations.append({"id": number, **category, "segmentation": [corners]})
    names = {400: "a", 800: "b", 1200: "c", 9: "never seen"}
    categories = [{"id": i, "name": name} for i, name in names.items()]
    tree = {"images": images, "annotations": annotations, "categories": categories}
    samples.save_json(source / "all.json", tree)
    done = convert(source, tmp_path / "out")
    told = r"the image '1.png' may be first/1.png or second/1.png or third/1.png"
    assert [re.search(told, remark.what) is not None for remark in done.problems] == [1]
    assert done.class_names == ("background", "never seen", "a", "b", "c")
    for folder, index in (("first", 2), ("second", 3)):
        copy = tmp_path / "out" / "train_images" / f"{folder}_1.png"
        assert np.array_equal(read_image(copy), samples.pixels(folder))
        mask = read_mask(tmp_path / "out" / "train_segmentation" / f"{folder}_1.png")
        assert (mask == index).all()


def test_more_than_255_classes_have_masks_of_16_bits(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason="pip install 'seglib[convert]'")
    source, out = tmp_path / "source", tmp_path / "out"
    samples.SAMPLES["coco"](source)
    for path in (source / "annotations").glob("instances_*.json"):
        tree = json.loads(path.read_text())
        more = [{"id": 1000 + i, "name": f"kind {i}"} for i in range(300)]
        tree["categories"] = more + tree["categories"]
        tree["annotations"][0]["category_id"] = 1299
        path.write_text(json.dumps(tree))
    done = convert(source, out)
    assert len(done.class_names) == 304
    mask = read_mask(out / "train_segmentation" / "one_a.png")
    assert (mask.dtype, int(mask.max())) == (np.uint16, 303)
    assert done.class_names[303] == "kind 299"
    with pytest.raises(UsageError, match="at most 255 classes"):
        convert(out, tmp_path / "voc", to="voc")
    convert(out, tmp_path / "coco", to="coco")


def test_a_source_of_void_alone_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    samples.SAMPLES["keras_segmentation"](source)
    for path in source.glob("annotations_*/*.png"):
        write_image(path, np.full((12, 16), 255, np.uint8))
    for options in ({}, {"split": "8/1/1"}, {"to": "voc"}):
        with pytest.raises(DatasetError, match="no pixel of any mask is labelled"):
            convert(source, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_names_that_would_be_equal_are_made_unique_and_told(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for number, folder in enumerate(("first", "second/inner", "third")):
        name = ("a", "A", "ä/b")[number]
        path = samples.save(source / folder / f"{name}.png", samples.pixels(folder))
        corners = [[0, 0], [9, 0], [9, 9]]
        shapes = [{"label": "thing", "points": corners}]
        tree = {"imagePath": path.name, "shapes": shapes}
        samples.save_json(path.with_suffix(".json"), tree)
    done = convert(source, tmp_path / "out")
    names = sorted(p.name for p in (tmp_path / "out" / "train_images").iterdir())
    assert names == ["b.png", "first_a.png", "second_inner_A.png"]
    renamed = [remark.where for remark in done.notes if "renamed" in remark.what]
    assert sorted(renamed) == ["first/a → first_a", "second/inner/A → second_inner_A"]
