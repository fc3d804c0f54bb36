"""Faults with one right answer are made on disk, fixed, and compared with the truth."""

import csv
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from seglib.cli.main import app
from seglib.config import DataConfig
from seglib.data.file_formats import PNG_MAGIC
from seglib.data.fixing.fixer import FIXABLE, LOG, fix
from seglib.data.image_io import read_mask, write_image
from seglib.data.verification.verifier import verify
from seglib.errors import UsageError
from seglib.storage.hashes import hash_folder
from tests.fakes.dataset_folder import DatasetFolder

ALL = [*(("train", stem) for stem in "abc"), ("val", "d"), ("val", "e")]
PALETTE = [(120, 180, 230), (128, 64, 128), (0, 0, 142)]
Change = Callable[[DatasetFolder], object]


def every_mask(write: Callable[[Path, np.ndarray], object]) -> Change:
    def change(folder: DatasetFolder) -> None:
        for split, stem in ALL:
            write(folder.mask(split, stem), folder.ids())

    return change


def without_void(ids: np.ndarray) -> np.ndarray:
    return np.where(ids == 255, 1, ids).astype(np.uint8)


def drawn(draw: Callable[[np.ndarray], np.ndarray]) -> Change:
    return every_mask(lambda path, ids: write_image(path, draw(ids)))


def describe(text: str, change: Change) -> Change:
    def both(folder: DatasetFolder) -> None:
        folder.describe(text)
        change(folder)

    return both


def renamed(part: str, name: Callable[[str], str]) -> Change:
    def change(folder: DatasetFolder) -> None:
        for path in folder.root.glob(f"*_{part}/*"):
            path.rename(path.with_name(name(path.name)))

    return change


def in_turn(*changes: Change) -> Change:
    def change(folder: DatasetFolder) -> None:
        for each in changes:
            each(folder)

    return change


def coloured(ids: np.ndarray) -> np.ndarray:
    colours = np.zeros((256, 3), np.uint8)
    colours[:3] = PALETTE
    return colours[ids]


def with_table(colours: list[tuple[int, int, int]], order: list[int]) -> Change:
    """Masks with a palette; that of `a` numbers its colours otherwise."""

    def write(path: Path, ids: np.ndarray) -> None:
        numbers = order if path.stem == "a" else range(len(order))
        table = np.zeros(256, np.uint8)
        table[list(range(len(order)))] = list(numbers)
        picture = Image.fromarray(table[without_void(ids)], "P")
        placed = [(0, 0, 0)] * len(order)
        for index, number in enumerate(numbers):
            placed[number] = colours[index]
        picture.putpalette(sum(placed, ()))
        picture.save(path)

    return every_mask(write)


def as_alpha(path: Path, ids: np.ndarray) -> None:
    pixels = np.zeros((*ids.shape, 4), np.uint8)
    pixels[..., 3] = (ids == 2) * 255
    Image.fromarray(pixels, "RGBA").save(path)


def with_alpha(path: Path, ids: np.ndarray) -> None:
    pixels = np.dstack([without_void(ids)] * 3 + [np.full(ids.shape, 255, np.uint8)])
    pixels[0, :4, 3] = 0
    Image.fromarray(pixels, "RGBA").save(path)


def of_two_bits(path: Path, ids: np.ndarray) -> None:
    values = without_void(ids)
    height, width = values.shape
    padded = np.zeros((height, -(-width // 4) * 4), np.uint8)
    padded[:, :width] = values
    packed = (padded.reshape(height, -1, 4) << [6, 4, 2, 0]).sum(-1).astype(np.uint8)
    rows = np.column_stack([np.zeros(height, np.uint8), packed])  # without a filter
    head = struct.pack(">IIBBBBB", width, height, 2, 0, 0, 0, 0)
    chunks = (b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b"")
    content = PNG_MAGIC
    for kind, data in chunks:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        content += struct.pack(">I", len(data)) + kind + data + checksum
    path.write_bytes(content)


def as_gif(path: Path, ids: np.ndarray) -> None:
    path.unlink()
    picture = Image.fromarray(without_void(ids), "P")
    picture.putpalette(sum(PALETTE, ()))
    picture.save(path.with_suffix(".gif"), optimize=False)


def photographed_on_its_side(orientation: int) -> Change:
    def change(folder: DatasetFolder) -> None:
        for split, stem in ALL:
            exif = Image.Exif()
            exif[0x0112] = orientation
            path = folder.image(split, stem)
            Image.open(path).save(path, exif=exif)

    return change


NAMES = "class_names: [sky, road, car]\n"
CLASSES = NAMES + "ignore_index: 255\n"
WITH_PALETTE = f"{NAMES}palette: {[list(colour) for colour in PALETTE]}\n"
Truth = Callable[[np.ndarray], np.ndarray]
same: Truth = lambda ids: ids  # noqa: E731
car: Truth = lambda ids: (ids == 2).astype(np.uint8)  # noqa: E731

# name: (how the folder is broken, the kind that `verify` finds, the ids that are meant)
FAULTS: dict[str, tuple[Change, str, Truth]] = {
    "masks named NAME_mask": (
        renamed("segmentation", lambda name: name.replace(".", "_mask.")),
        "names-differ",
        same,
    ),
    "names of Cityscapes": (
        in_turn(
            renamed("segmentation", lambda n: n.replace(".", "_1_gtFine_labelIds.")),
            renamed("images", lambda name: name.replace(".", "_1_leftImg8bit.")),
        ),
        "names-differ",
        same,
    ),
    "masks named in capital letters": (
        renamed("segmentation", lambda name: name[0].upper() + name[1:]),
        "names-differ",
        same,
    ),
    "images with another suffix": (
        renamed("images", lambda name: name + ".part"),
        "not-an-image",
        same,
    ),
    "masks as GIF": (
        describe(NAMES, every_mask(as_gif)),
        "not-an-image",
        without_void,
    ),
    "a note among the images": (
        lambda folder: (folder.root / "train_images" / "a.txt").write_text("sunny"),
        "not-an-image",
        same,
    ),
    "colours of the palette": (
        describe(WITH_PALETTE, drawn(lambda ids: coloured(without_void(ids)))),
        "colours-for-ids",
        without_void,
    ),
    "0 and 255": (
        describe("class_names: [other, car]\n", drawn(lambda ids: car(ids) * 255)),
        "ids-out-of-range",
        car,
    ),
    "0 and 255, classes not stated": (
        describe("", drawn(lambda ids: car(ids) * 255)),
        "ids-out-of-range",
        car,
    ),
    "0 and 65535 with 16 bits": (
        describe("", drawn(lambda ids: car(ids).astype(np.uint16) * 65535)),
        "ids-out-of-range",
        car,
    ),
    "ids times 100": (
        describe(NAMES, drawn(lambda ids: without_void(ids) * 100)),
        "ids-out-of-range",
        without_void,
    ),
    "0 and 128, classes not stated": (
        describe("", drawn(lambda ids: car(ids) * 128)),
        "classes-inferred",
        car,
    ),
    "ids counted from 1": (
        describe(CLASSES, drawn(lambda ids: ids + (ids < 255))),
        "ids-out-of-range",
        same,
    ),
    "colour tables that differ": (
        describe(NAMES, with_table(PALETTE, [2, 0, 1])),
        "palettes-differ",
        without_void,
    ),
    "ids in the alpha channel": (
        describe("class_names: [other, car]\n", every_mask(as_alpha)),
        "unfit-file",
        car,
    ),
    "an alpha channel": (
        describe(NAMES, every_mask(with_alpha)),
        "alpha-mask",
        without_void,
    ),
    "two bits a pixel": (
        describe(NAMES, every_mask(of_two_bits)),
        "stretched-ids",
        without_void,
    ),
    **{
        f"drawn before EXIF orientation {orientation} turned the image": (
            photographed_on_its_side(orientation),
            "size-mismatch",
            turn,
        )
        for orientation, turn in {
            5: lambda ids: ids.T,
            6: lambda ids: np.rot90(ids, -1),
            7: lambda ids: np.rot90(ids, 2).T,
            8: np.rot90,
        }.items()
    },
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_with_one_right_answer_is_found_and_fixed(folder, tmp_path, fault):
    change, kind, truth = fault
    change(folder)
    before = hash_folder(folder.root)
    found = verify(folder.root)
    assert kind in {p.kind for p in (*found.problems, *found.warnings)}
    assert kind in FIXABLE

    fixed = fix(folder.root, tmp_path / "fixed")

    after = fixed.verification
    assert not fixed.unfixed
    assert after.ok, after.problems
    assert kind not in {problem.kind for problem in after.warnings}
    pairs = [pair for split in after.dataset.splits.values() for pair in split]
    assert len(pairs) == len(ALL)
    for pair in pairs:
        np.testing.assert_array_equal(read_mask(pair.mask), truth(folder.ids()))
    assert hash_folder(folder.root) == before, "the source was changed"
    rows = list(csv.DictReader((tmp_path / "fixed" / LOG).read_text().splitlines()))
    assert {row["kind"] for row in rows} == {kind}
    for row in rows:
        assert (folder.root / row["source"]).is_file()
        assert not row["file"] or (tmp_path / "fixed" / row["file"]).is_file()


def test_a_mask_of_16_bits_whose_ids_fit_in_8_is_saved_with_8(folder, tmp_path):
    drawn(lambda ids: ids.astype(np.uint16))(folder)
    fix(folder.root, tmp_path / "fixed")
    mask = cv2.imread(
        str(tmp_path / "fixed" / "val_segmentation" / "d.png"), cv2.IMREAD_UNCHANGED
    )
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, folder.ids())


def test_images_of_16_bits_that_use_8_of_them_are_saved_with_8(folder, tmp_path):
    for split, stem in ALL:
        deep = folder.pixels(stem, size=(24, 32)).astype(np.uint16)
        write_image(folder.image(split, stem), deep)
    assert {p.kind for p in verify(folder.root).problems} == {"sixteen-bits"}
    fixed = fix(folder.root, tmp_path / "fixed")
    assert fixed.verification.ok
    image = cv2.imread(str(tmp_path / "fixed" / "train_images" / "a.png"), -1)
    np.testing.assert_array_equal(image[..., ::-1], folder.pixels("a", size=(24, 32)))


def test_ignored_pixels_of_coloured_masks_have_a_colour_too(folder, tmp_path):
    folder.describe(f"{WITH_PALETTE}ignore_index: 255\n")
    drawn(coloured)(folder)
    left = fix(folder.root, tmp_path / "left")
    assert not left.changes
    assert not (tmp_path / "left").exists()
    assert "(0, 0, 0) in 64 pixels" in left.unfixed[0]
    fixed = fix(folder.root, tmp_path / "fixed", ignored_colour=(0, 0, 0))
    assert fixed.verification.ok
    mask = read_mask(tmp_path / "fixed" / "train_segmentation" / "a.png")
    np.testing.assert_array_equal(mask, folder.ids())


# What a person must decide: nothing is guessed.
UNDECIDED: dict[str, Change] = {
    "0 and 255 of three classes, where 255 may be void": describe(
        NAMES, drawn(lambda ids: car(ids) * 255)
    ),
    "two masks for each image": in_turn(
        renamed("segmentation", lambda name: name.replace(".", "_a.")),
        lambda folder: [
            write_image(path.with_name(path.name.replace("_a.", "_b.")), folder.ids())
            for path in folder.root.glob("*_segmentation/*")
        ],
    ),
    "colours without a palette": describe(
        NAMES, drawn(lambda ids: coloured(without_void(ids)))
    ),
    "a mask that is missing": lambda folder: folder.mask("train", "a").unlink(),
    "a mask of another size": lambda folder: write_image(
        folder.mask("train", "a"), folder.ids()[:20]
    ),
    "smoothed masks": drawn(lambda ids: cv2.GaussianBlur(car(ids) * 200, (7, 7), 2)),
    "a damaged image": lambda folder: folder.image("val", "d").write_bytes(b"\x89PNG"),
    "transparent pixels where an id is ignored": every_mask(with_alpha),
}


@pytest.mark.parametrize("change", UNDECIDED.values(), ids=UNDECIDED)
def test_what_a_person_must_decide_is_left_as_it_is(folder, tmp_path, change):
    change(folder)
    found = verify(folder.root)
    fixed = fix(folder.root, tmp_path / "fixed")
    assert fixed.changes == ()
    assert not (tmp_path / "fixed").exists()
    assert {p.kind for p in fixed.verification.problems} == {
        p.kind for p in found.problems
    }


def test_a_clean_dataset_is_not_copied(folder, tmp_path):
    result = CliRunner().invoke(
        app, ["fix", str(folder.root), "--out", str(tmp_path / "fixed")]
    )
    assert result.exit_code == 0, result.output
    assert "nothing written" in result.output
    assert not (tmp_path / "fixed").exists()


@pytest.mark.parametrize("out", ["streets/fixed", "streets", "."])
def test_the_copy_lies_beside_the_source(folder, tmp_path, out):
    with pytest.raises(UsageError, match="Choose"):
        fix(folder.root, tmp_path / out)


def test_a_folder_in_the_way_stays_as_it_is(folder, tmp_path):
    (tmp_path / "fixed").mkdir()
    (tmp_path / "fixed" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        fix(folder.root, tmp_path / "fixed")
    assert [path.name for path in (tmp_path / "fixed").iterdir()] == ["mine.txt"]


def test_the_command_says_what_is_left_and_exits_with_1(folder, tmp_path):
    folder.image("val", "d").write_bytes(b"\x89PNG")
    renamed("segmentation", lambda name: name.replace(".", "_mask."))(folder)
    result = CliRunner().invoke(
        app, ["fix", str(folder.root), "--out", str(tmp_path / "fixed")]
    )
    assert result.exit_code == 1
    assert "5 × names-differ" in result.output
    assert "val_images/d.png" in result.output.replace("\n", "")
    assert (tmp_path / "fixed" / LOG).is_file()


def test_a_colour_is_three_numbers(folder, tmp_path):
    arguments = ["fix", str(folder.root), "--out", str(tmp_path / "fixed")]
    result = CliRunner().invoke(app, [*arguments, "--ignored-color", "black"])
    assert result.exit_code != 0
    assert isinstance(result.exception, UsageError)


def test_classes_of_a_folder_without_a_description_can_be_stated(folder, tmp_path):
    (folder.root / "dataset.yaml").unlink()
    drawn(lambda ids: without_void(ids) + np.uint8(1))(folder)
    fixed = fix(folder.root, tmp_path / "fixed", config=DataConfig(num_classes=3))
    assert fixed.verification.ok
    mask = read_mask(tmp_path / "fixed" / "train_segmentation" / "a.png")
    np.testing.assert_array_equal(mask, without_void(folder.ids()))
