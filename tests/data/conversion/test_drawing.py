"""Shapes cover the pixels that the formats' own tools give them."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from seglib.data.conversion.coco_masks import run_lengths
from seglib.data.conversion.converter import convert
from seglib.data.image_io import read_mask
from tests.data.conversion.samples import save, save_json

SIZE = (60, 80)


def polygon(generator: np.random.Generator, corners: int) -> list[float]:
    """A polygon, perhaps one that crosses itself, and leaves the image."""
    points = generator.uniform((-8, -8), (88, 68), (corners, 2))
    return points.round(2).ravel().tolist()


def donut() -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    mask[10:50, 10:60] = 1
    mask[20:30, 25:45] = 0
    return mask


def photograph(path: Path) -> Path:
    rows = np.arange(SIZE[0] * SIZE[1] * 3) % 251
    return save(path, rows.reshape(*SIZE, 3).astype(np.uint8))


def test_coco_polygons_holes_and_overlaps_are_those_of_its_own_library(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    coding = pytest.importorskip("pycocotools.mask", reason="seglib[convert]")
    from pycocotools.coco import COCO

    generator = np.random.default_rng(0)
    compressed = coding.encode(np.asfortranarray(donut()))
    compressed["counts"] = compressed["counts"].decode()
    runs = np.asfortranarray(np.roll(donut(), 15, 1)).ravel(order="F")
    edges = np.flatnonzero(np.diff(runs)) + 1
    counts = np.diff([0, *edges, runs.size]).tolist()
    segmentations: list[Any] = [
        *([polygon(generator, corners)] for corners in (3, 4, 9, 30)),
        [polygon(generator, 3), polygon(generator, 5)],  # of two parts
        compressed,
        {"size": list(SIZE), "counts": counts},
        [polygon(generator, 4)],
    ]
    source = tmp_path / "source"
    annotations = [
        {
            "id": number,
            "image_id": 1,
            "category_id": number % 4 + 1,
            "segmentation": segmentation,
            "iscrowd": int(number == 7),
        }
        for number, segmentation in enumerate(segmentations, 1)
    ]
    photograph(source / "images" / "a.png")
    image = {"id": 1, "file_name": "a.png", "height": 60, "width": 80}
    categories = [{"id": i, "name": f"kind {i}"} for i in range(1, 5)]
    document = {
        "images": [image],
        "annotations": annotations,
        "categories": categories,
    }
    save_json(source / "all.json", document)

    convert(source, tmp_path / "out")

    reader = COCO(str(source / "all.json"))
    expected = np.zeros(SIZE, np.uint8)
    for number in (7, 1, 2, 3, 4, 5, 6, 8):  # the crowd is beneath all others
        annotation = reader.anns[number]
        expected[reader.annToMask(annotation) > 0] = annotation["category_id"]
    mask = read_mask(tmp_path / "out" / "train_segmentation" / "a.png")
    assert np.array_equal(mask, expected)
    assert set(np.unique(mask)) == {0, 1, 2, 3, 4}
    assert (mask[donut() == 0] == 0).any()


def test_labelme_shapes_are_those_that_labelme_draws(tmp_path: Path) -> None:
    """`labelme.utils.shape_to_mask` of version 6.3.1, by the same calls of Pillow."""
    generator = np.random.default_rng(1)
    pairs = [polygon(generator, corners) for corners in (3, 7)]
    file = io.BytesIO()
    Image.fromarray(donut()[10:50, 10:60]).save(file, "PNG")
    expected = Image.new("L", SIZE[::-1])
    draw = ImageDraw.Draw(expected)
    shapes = []
    for label, kind, flat in (
        ("a", "polygon", pairs[0]),
        ("b", "polygon", pairs[1]),
        ("c", "rectangle", [50.5, 40.2, 30.1, 20.7]),
        ("a", "circle", [20.3, 30.6, 28.1, 33.3]),
        ("b", "line", [5, 50, 75, 58]),
        ("c", "linestrip", [5, 5, 30, 12.5, 70, 3]),
        ("b", "point", [70, 30]),
    ):
        points = [(flat[i], flat[i + 1]) for i in range(0, len(flat), 2)]
        shapes.append({"label": label, "points": points, "shape_type": kind})
        fill = " abc".index(label)
        if kind == "polygon":
            draw.polygon(points, outline=fill, fill=fill)
        elif kind == "rectangle":
            draw.rectangle((30.1, 20.7, 50.5, 40.2), outline=fill, fill=fill)
        elif kind == "circle":
            far = ((20.3 - 28.1) ** 2 + (30.6 - 33.3) ** 2) ** 0.5
            box = (20.3 - far, 30.6 - far, 20.3 + far, 30.6 + far)
            draw.ellipse(box, outline=fill, fill=fill)
        elif kind == "point":
            draw.ellipse((65, 25, 75, 35), outline=fill, fill=fill)
        else:
            draw.line(points, fill=fill, width=10)
    truth = np.array(expected)
    truth[donut() == 1] = 3
    shapes.append(
        {
            "label": "c",
            "points": [[10, 10], [59, 49]],
            "shape_type": "mask",
            "mask": base64.b64encode(file.getvalue()).decode(),
        }
    )
    inner = [(30, 22), (40, 22), (40, 28), (30, 28)]  # a hole: what lies beneath
    shapes.append({"label": "_background_", "points": inner})
    draw = ImageDraw.Draw(hole := Image.new("L", SIZE[::-1]))
    draw.polygon(inner, outline=1, fill=1)
    truth[np.array(hole) == 1] = 0
    source = tmp_path / "source"
    photograph(source / "a.png")
    save_json(source / "a.json", {"imagePath": "a.png", "shapes": shapes})

    done = convert(source, tmp_path / "out")

    assert done.class_names == ("background", "a", "b", "c")
    mask = read_mask(tmp_path / "out" / "train_segmentation" / "a.png")
    assert np.array_equal(mask, truth)


def test_an_image_inside_of_the_json_is_taken_where_its_file_is_missing(
    tmp_path: Path,
) -> None:
    path = photograph(tmp_path / "elsewhere" / "a.png")
    source = tmp_path / "source"
    shape = {"label": "a", "points": [[1, 1], [9, 1], [9, 9]]}
    content = base64.b64encode(path.read_bytes()).decode()
    document = {"imagePath": "a.png", "imageData": content, "shapes": [shape]}
    save_json(source / "a.json", document)
    convert(source, tmp_path / "out")
    copy = tmp_path / "out" / "train_images" / "a.png"
    assert copy.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("turned_annotation", [False, True])
def test_a_mask_follows_the_exif_orientation_of_its_image(
    turned_annotation: bool, tmp_path: Path
) -> None:
    """Drawn on the unturned pixels, the mask is turned as the image is."""
    source = tmp_path / "source"
    source.mkdir()
    exif = Image.Exif()
    exif[274] = 6  # to be turned clockwise
    Image.new("RGB", (80, 60)).save(source / "a.jpg", exif=exif)
    box = {"label": "a", "points": [[0, 0], [9, 4]], "shape_type": "rectangle"}
    height, width = (80, 60) if turned_annotation else (60, 80)
    document = {"imagePath": "a.jpg", "shapes": [box]}
    document |= {"imageHeight": height, "imageWidth": width}
    save_json(source / "a.json", document)
    convert(source, tmp_path / "out")
    mask = read_mask(tmp_path / "out" / "train_segmentation" / "a.png")
    expected = np.zeros((80, 60), np.uint8)
    if turned_annotation:
        expected[:5, :10] = 1
    else:
        expected[:10, 55:] = 1
    assert np.array_equal(mask, expected)


def test_compressed_runs_are_decompressed_as_by_the_library() -> None:
    coding = pytest.importorskip("pycocotools.mask", reason="seglib[convert]")
    generator = np.random.default_rng(2)
    for share in (0, 0.001, 0.1, 0.5, 1):
        for _ in range(20):
            height, width = generator.integers(1, 90, 2).tolist()
            mask = (generator.random((height, width)) < share).astype(np.uint8)
            encoded = coding.encode(np.asfortranarray(mask))
            text = {**encoded, "counts": encoded["counts"].decode()}
            assert np.array_equal(run_lengths(text, (height, width)), mask)
