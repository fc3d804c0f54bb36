"""Every fault is made on disk, and its message matched."""

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from seglib.config import DataConfig
from seglib.data.file_formats import exif_orientation, find_damage
from seglib.data.image_io import encode_jpeg, encode_png, write_image
from seglib.data.problems import NOTE, PROBLEM, WARNING, Problem
from seglib.data.verification.file_checks import count_ids, ramp_share
from seglib.data.verification.verified import Verification
from seglib.data.verification.verifier import verify
from seglib.errors import DatasetError
from tests.fakes.dataset_folder import DatasetFolder

ALL = [*(("train", stem) for stem in "abc"), ("val", "d"), ("val", "e")]
COLOURS = np.array([[128, 64, 128], [70, 70, 70], [0, 0, 142]], np.uint8)
Change = Callable[[DatasetFolder], object]


def only(found: tuple[Problem, ...]) -> Problem:
    assert len(found) == 1, list(map(str, found))
    return found[0]


def kinds(found: tuple[Problem, ...]) -> list[str]:
    return sorted(each.kind for each in found)


def nothing_to_say(found: Verification) -> bool:
    return not (found.problems or found.warnings or found.notes)


def mask(draw: Callable[[np.ndarray], np.ndarray], *stems: str) -> Change:
    """Masks drawn anew from the ids of the folder's masks; of `train/a` or others."""

    def change(folder: DatasetFolder) -> None:
        for split, stem in ALL:
            if stem in (stems or "a"):
                write_image(folder.mask(split, stem), draw(folder.ids()))

    return change


def drawn(**pixels: tuple[int, int]) -> Callable[[np.ndarray], np.ndarray]:
    """Ids with `i5=(0, 7)`: the first 7 pixels of row 0 are of id 5."""

    def draw(ids: np.ndarray) -> np.ndarray:
        dtype = np.uint16 if any(int(name[1:]) > 255 for name in pixels) else np.uint8
        ids = ids.astype(dtype)
        for name, (row, count) in pixels.items():
            ids[row, :count] = int(name[1:])
        return ids

    return draw


def replaced(old: int, new: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda ids: np.where(ids == old, new, ids).astype(np.uint8)


def content(change: Callable[[bytes], bytes], part: str = "mask") -> Change:
    def write(folder: DatasetFolder) -> None:
        path = getattr(folder, part)("train", "a")
        path.write_bytes(change(path.read_bytes()))

    return write


def described(text: str, *changes: Change) -> Change:
    return both(lambda folder: folder.describe(text), *changes)


def turned(orientation: int) -> Change:
    """The image `train/a` is a JPEG with this EXIF orientation."""

    def change(folder: DatasetFolder) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = folder.image("train", "a")
        path.unlink()
        picture = Image.fromarray(folder.pixels("a"))
        picture.save(path.with_suffix(".jpg"), exif=exif)

    return change


def smooth_circle(last: int) -> Change:
    def change(folder: DatasetFolder) -> None:
        ids = np.zeros((96, 96), np.uint8)
        cv2.circle(ids, (48, 48), 40, last, -1, cv2.LINE_AA)
        write_image(folder.mask("train", "a"), ids)
        write_image(folder.image("train", "a"), folder.pixels("a", size=(96, 96)))

    return change


def palette(
    colours: list[int], stem: str = "a", draw: Callable[..., np.ndarray] = np.array
) -> Change:
    def change(folder: DatasetFolder) -> None:
        image = Image.fromarray(draw(folder.ids()))
        image.putpalette(colours + [0] * (768 - len(colours)))
        image.save(folder.mask("train", stem))

    return change


def both(*changes: Change) -> Change:
    return lambda folder: [change(folder) for change in changes]


def cut(kept: float) -> Callable[[bytes], bytes]:
    return lambda content: content[: int(len(content) * kept)]


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def jpeg(folder: DatasetFolder) -> bytes:
    return encode_jpeg(folder.pixels("a"))


def val_as_test(folder: DatasetFolder) -> None:
    for part in ("images", "segmentation"):
        (folder.root / f"val_{part}").rename(folder.root / f"test_{part}")


IMAGE, MASK = "train_images/a.png", "train_segmentation/a.png"
# What is done to the clean dataset: the only finding's severity, kind and path, and
# parts of its reason and remedy.
FINDINGS: dict[str, tuple[Change, str, str, str, str, str]] = {
    "an empty split": (
        lambda f: [(f.root / f"test_{p}").mkdir() for p in ("images", "segmentation")],
        PROBLEM, "empty-split", "test_images", "the split `test` is empty", "Put pairs",
    ),
    "an image without mask": (
        lambda f: f.mask("train", "a").unlink(),
        PROBLEM, "image-without-mask", IMAGE,
        f"image without mask; expected {MASK}", "Add the mask, or remove the image.",
    ),
    "a mask without image": (
        lambda f: f.image("val", "e").unlink(),
        PROBLEM, "mask-without-image", "val_segmentation/e.png",
        "mask without image; expected val_images/e.*", "Add the image",
    ),
    "two images of one stem": (
        lambda f: write_image(f.root / "train_images" / "a.jpg", f.pixels("other")),
        PROBLEM, "same-stem", IMAGE, "same stem as a.jpg", "Rename it",
    ),
    "a file that is no image": (
        lambda f: (f.root / "train_images" / "notes.txt").write_text("hello"),
        PROBLEM, "not-an-image", "train_images/notes.txt",
        "not an image file by its suffix", "Move it out of the folder.",
    ),
    "a folder that is not read": (
        lambda f: (f.root / "validation_images").mkdir(),
        WARNING, "folder-not-read", "validation_images", "not read", "Expected files",
    ),
    "no val split": (
        val_as_test, WARNING, "split-missing", ".", "no val split", "Add val_images/",
    ),
    "a mask of another size": (
        mask(lambda ids: ids[:20]),
        PROBLEM, "size-mismatch", MASK,
        "the image is 24×32, the mask 20×32", "Export the mask",
    ),
    "a shrunk mask": (
        mask(lambda ids: ids[::2, ::2]),
        PROBLEM, "size-mismatch", MASK,
        "the image is 24×32, the mask 12×16", "nearest neighbour",
    ),
    "swapped sides": (
        mask(np.transpose),
        PROBLEM, "size-mismatch", MASK, "height and width are swapped", "by 90°",
    ),
    "an image that EXIF turns": (
        turned(6), PROBLEM, "size-mismatch", MASK,
        "the mask 24×32; the image's EXIF orientation 6 turns it upright from 24×32",
        "Turn the mask in the same way",
    ),
    "a rotation that sizes cannot tell": (
        turned(3), WARNING, "exif-rotation", "train_images/a.jpg",
        "EXIF orientation 3", "save the image upright",
    ),
    "stray ids": (  # 7 of 768 pixels are 0.9 %, 1 is 0.1 %
        mask(drawn(i9=(0, 7), i200=(1, 1))),
        PROBLEM, "ids-out-of-range", MASK,
        "ids outside 0 … 2: 9 (7 px, 0.9%), 200 (1 px, 0.1%)", "--num-classes 201",
    ),
    "stray ids of 16 bits": (
        mask(drawn(i300=(0, 10))),
        PROBLEM, "ids-out-of-range", MASK, "300 (10 px, 1.3%)", "--num-classes 301",
    ),
    "a stray index of a palette": (
        palette([0, 0, 0, 1, 1, 1], draw=drawn(i5=(0, 1))),
        PROBLEM, "ids-out-of-range", MASK, "ids outside 0 … 2: 5 (1 px, 0.1%)", "pass",
    ),
    "ids that start at one": (
        mask(lambda ids: ids + (ids < 255)),
        PROBLEM, "ids-out-of-range", MASK, "3 (60 px", "Ids seem to start at 1",
    ),
    "an anti-aliased mask with stray ids": (
        smooth_circle(240),
        PROBLEM, "ids-out-of-range", MASK, "more", "Looks like an anti-aliased mask",
    ),
    "a colour-coded mask": (  # 388 pixels of road, 320 of sky, 60 of the car
        mask(lambda ids: COLOURS[ids % 255]),
        PROBLEM, "colours-for-ids", MASK,
        "a colour-coded mask: 3 colours such as (70, 70, 70), (128, 64, 128), ",
        "Map each colour to its class id",
    ),
    "a photograph in place of a mask": (
        lambda f: write_image(f.mask("train", "a"), f.pixels("a")),
        PROBLEM, "colours-for-ids", MASK,
        "colours instead of class ids: a photograph", "Put a PNG here",
    ),
    "a mask of one bit": (
        lambda f: Image.fromarray(f.ids() == 2).save(f.mask("train", "a")),
        WARNING, "stretched-ids", MASK, "(id 1 becomes 255)", "with 8 bits a pixel",
    ),
    "a mask of one class": (
        mask(np.zeros_like),
        WARNING, "one-class", MASK, "every counted pixel is of class 0", "was drawn",
    ),
    "a mask that is ignored": (
        mask(lambda ids: ids | 255),
        WARNING, "all-ignored", MASK, "every pixel is ignored", "Remove the pair",
    ),
    "masks with a palette": (
        palette([200, 0, 0, 0, 90, 0]),
        NOTE, "palette-masks", ".", "1 of 5 masks have a palette", "class ids",
    ),
    "palettes that differ": (
        both(palette([200, 0, 0, 0, 90, 0]), palette([0, 90, 0, 200, 0, 0], "b")),
        WARNING, "palettes-differ", "", "one index may stand for two classes", "",
    ),
    "classes that nobody named": (
        described("ignore_index: 255\n"),
        NOTE, "classes-inferred", ".", "3, by the largest id in train", "--num-classes",
    ),
    "ids with large gaps": (
        described("ignore_index: 255\n", mask(replaced(2, 128))),
        PROBLEM, "classes-inferred", ".",
        "only 5 of the ids up to 128 occur in train", "Pass --num-classes",
    ),
    "a palette of another length": (
        described("ignore_index: 255\npalette: [[1, 2, 3], [4, 5, 6]]\n"),
        PROBLEM, "description", "dataset.yaml", "2 colours for 3 classes", "agree",
    ),
    "an empty file": (
        content(lambda _: b"", "image"),
        PROBLEM, "damaged-file", IMAGE, "the file is empty (0 bytes)", "Restore it",
    ),
    "a text in disguise": (
        content(lambda _: b"not a picture", "image"),
        PROBLEM, "damaged-file", IMAGE, "a damaged one (13 bytes)", "Restore the file",
    ),
    **{
        f"a PNG cut at {kept:.0%}": (
            content(cut(kept)), PROBLEM, "damaged-file", MASK,
            "truncated: the file ends inside",
            "Restore it, or remove it together with its partner.",
        )
        for kept in (0.3, 0.6, 0.97)
    },
    "a PNG without its last chunk": (
        content(lambda png: png[:-12], "image"),
        PROBLEM, "damaged-file", IMAGE, "truncated: no closing IEND chunk", "Restore",
    ),
    "a flipped bit in a PNG": (
        content(flipped, "image"),
        PROBLEM, "damaged-file", IMAGE,
        "corrupt: the checksum of its IDAT chunk does not match", "Restore",
    ),
    "a truncated JPEG": (
        lambda f: f.image("train", "a").write_bytes(cut(0.99)(jpeg(f))),
        PROBLEM, "damaged-file", IMAGE, "truncated: no end-of-image marker", "Restore",
    ),
    "a damaged mask among those that show an unnamed number of classes": (
        described("ignore_index: 255\n", content(lambda _: b"")),
        PROBLEM, "damaged-file", MASK, "the file is empty", "Restore",
    ),
    "a duplicate inside a split": (
        lambda f: write_image(f.image("train", "b"), f.pixels("a")),
        WARNING, "duplicate", "train_images/b.png",
        "the same pixels as train_images/a.png", "it counts twice",
    ),
    "a duplicate with another mask": (
        both(
            lambda f: write_image(f.image("train", "b"), f.pixels("a")),
            mask(lambda ids: ids[:, ::-1].copy(), "b"),
        ),
        WARNING, "duplicate", "train_images/b.png", "but their masks differ", "",
    ),
    "a duplicate across splits": (
        lambda f: write_image(f.image("val", "d"), f.pixels("a")),
        WARNING, "leakage", "val_images/d.png",
        "leakage: the same pixels as train_images/a.png",
        "Remove the pair from train or val",
    ),
    "a class that only val shows": (
        mask(replaced(2, 1), *"abc"),
        WARNING, "class-not-in-train", "train_segmentation",
        "present only in val: 2 (car)", "cannot learn them",
    ),
    "a class that val lacks": (
        mask(replaced(2, 1), *"de"),
        NOTE, "class-not-scored", "val_segmentation", "absent from val: 2 (car)", "",
    ),
    "a class that no mask shows": (
        described("class_names: [sky, road, car, <boat>]\nignore_index: 255\n"),
        WARNING, "class-absent", ".", "no pixel in any split of 3 (<boat>)", "",
    ),
    "a single class": (
        described("ignore_index: 255\n", mask(lambda ids: ids // 255 * 255, *"abcde")),
        PROBLEM, "too-few-classes", ".", "a single class", "pass --num-classes 2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FINDINGS.values(), ids=FINDINGS)
def test_a_fault_is_the_only_finding_of_its_severity(folder, case):
    change, severity, kind, path, reason, remedy = case
    change(folder)
    found = verify(folder.root)
    assert found.ok == (severity != PROBLEM)
    if severity == NOTE:
        assert not found.warnings
    finding = only(getattr(found, f"{severity}s"))
    assert finding.kind == kind
    if path:
        assert finding.path == folder.root / path
    assert reason in finding.reason
    assert remedy in finding.remedy


class TestCleanDataset:
    def test_a_clean_dataset_has_nothing_to_report(self, folder):
        calls = []
        found = verify(folder.root, progress=lambda *counts: calls.append(counts))
        assert found.ok
        assert nothing_to_say(found)
        found.raise_if_bad()
        assert calls[-1] == (5, 5)
        facts = found.pairs["train"][0]
        # 8·32 sky, 14·32 − 60 road, 6·10 car, 2·32 void.
        assert (facts.class_pixels, facts.ignored_pixels) == ((256, 388, 60), 64)
        assert (facts.height, facts.width, facts.stem) == (24, 32, "a")
        assert facts.image == "train_images/a.png"
        assert facts.image_size_bytes == folder.image("train", "a").stat().st_size

    def test_capital_suffixes_are_read_like_small_ones(self, folder):
        old = folder.image("train", "a")
        old.rename(old.with_suffix(".PNG"))
        write_image(folder.image("train", "x").with_suffix(".jpg"), folder.pixels("x"))
        jpeg = folder.root / "train_images" / "x.jpg"
        jpeg.rename(jpeg.with_suffix(".JPG"))
        write_image(folder.mask("train", "x"), folder.ids())
        found = verify(folder.root)
        assert nothing_to_say(found)
        assert [p.stem for p in found.pairs["train"]] == ["a", "b", "c", "x"]

    @pytest.mark.parametrize(
        "change",
        [
            mask(lambda ids: ids.astype(np.uint16)),
            mask(lambda ids: np.dstack([ids] * 3)),
            both(turned(6), mask(lambda ids: np.rot90(ids, -1).copy())),
            lambda f: f.image("train", "a").write_bytes(jpeg(f)),
        ],
        ids=["16 bits", "grey as RGB", "turned like its image", "JPEG"],
    )
    def test_other_encodings_are_fine(self, folder, change):
        change(folder)
        found = verify(folder.root)
        assert nothing_to_say(found)
        assert found.pairs["train"][0].class_pixels == (256, 388, 60)


def test_a_missing_mask_folder_is_a_problem(folder):
    (folder.root / "test_images").mkdir()
    write_image(folder.image("test", "t"), folder.pixels("t"))
    found = verify(folder.root)
    assert kinds(found.problems) == ["image-without-mask", "missing-folder"]
    said = f"{folder.root}/test_segmentation: no such folder. Create it"
    assert said in str(found.problems[1])


class TestIds:
    def test_255_looks_like_void(self, folder):
        for change in (
            lambda: folder.describe("class_names: [sky, road, car]\n"),
            (folder.root / "dataset.yaml").unlink,
        ):
            change()
            found = verify(folder.root)
            assert len(found.problems) == 5
            assert found.dataset.num_classes == 3
            reason, remedy = found.problems[0].reason, found.problems[0].remedy
            assert reason == "ids outside 0 … 2: 255 (64 px, 8.3%)"
            assert remedy == "255 looks like void: pass --ignore-index 255."
            assert verify(folder.root, config=DataConfig(ignore_index=255)).ok

    def test_a_second_void_is_to_become_the_first(self, folder):
        found = verify(folder.root, config=DataConfig(ignore_index=9)).problems[0]
        remedy = "255 looks like void: write 9, the ignored id, in its place."
        assert found.remedy == remedy

    def test_the_id_above_the_last_class_is_void_or_a_class(self, folder):
        folder.describe("class_names: [sky, road]\nignore_index: 255\n")
        found = verify(folder.root)
        remedy = found.problems[0].remedy
        assert "If 2 is void, write 255, the ignored id, in its place" in remedy
        assert "pass --num-classes 3" in remedy
        # No class is missed where masks have problems.
        assert kinds(found.problems) == ["ids-out-of-range"] * 5
        assert not found.warnings
        assert not found.notes

    def test_a_black_and_white_mask_is_recognised(self, folder):
        folder.describe("class_names: [background, car]\n")
        mask(lambda ids: np.uint8(255) * (ids == 2), *"abcde")(folder)
        remedy = verify(folder.root).problems[0].remedy
        assert "Every id of the dataset is a multiple of 255" in remedy
        assert "divide the ids by 255 (or, if 255 is void, pass --ignore-" in remedy

    def test_an_anti_aliased_mask_with_ids_in_range_is_warned_of(self, folder):
        folder.describe("num_classes: 11\nignore_index: 255\n")
        smooth_circle(10)(folder)
        found = verify(folder.root)
        assert found.ok
        blurred = [w for w in found.warnings if w.kind == "anti-aliased-mask"]
        assert only(tuple(blurred)).path == folder.mask("train", "a")

    def test_a_jpeg_mask_is_warned_of_whatever_its_suffix(self, folder):
        flat = np.ones((24, 32, 3), np.uint8)
        folder.mask("train", "a").write_bytes(encode_jpeg(flat))
        found = verify(folder.root)
        assert found.ok
        assert kinds(found.warnings) == ["lossy-mask", "one-class"]

    def test_an_ignored_class_is_warned_of(self, folder):
        folder.describe("class_names: [sky, road, car]\nignore_index: 0\n")
        warnings = verify(folder.root).warnings
        (found,) = (w for w in warnings if w.kind == "class-ignored")
        assert "0 (sky) is ignored, and a class, too" in found.reason

    def test_a_single_class_is_right_where_two_are_stated(self, folder):
        folder.describe("ignore_index: 255\n")
        mask(lambda ids: ids // 255 * 255, *"abcde")(folder)
        for count, ok in ((1, False), (2, True)):
            assert verify(folder.root, config=DataConfig(num_classes=count)).ok == ok

    def test_a_single_class_is_not_reported_if_another_problem_explains_it(
        self, folder
    ):
        (folder.root / "dataset.yaml").unlink()
        for split, stem in ALL:
            folder.mask(split, stem).write_bytes(b"")
        assert kinds(verify(folder.root).problems) == ["damaged-file"] * 5

    @pytest.mark.parametrize(("split", "stem"), [("train", "a"), ("val", "d")])
    def test_a_damaged_mask_may_show_the_class_that_the_others_lack(
        self, folder, split, stem
    ):
        folder.describe("class_names: [sky, road, car, boat]\nignore_index: 255\n")
        folder.mask(split, stem).write_bytes(b"")
        found = verify(folder.root)
        assert kinds(found.problems) == ["damaged-file"]
        assert not found.warnings


def test_problems_are_raised_together_a_few_of_each_remedy(folder):
    for number in range(30):
        (folder.root / "train_images" / f"{number}.txt").write_text("")
    folder.mask("val", "d").write_bytes(b"")
    found = verify(folder.root)
    assert [pair.stem for pair in found.pairs["val"]] == ["e"]
    assert [pair.stem for pair in found.dataset.splits["val"]] == ["d", "e"]
    with pytest.raises(DatasetError, match=r"31 problem\(s\)") as raised:
        found.raise_if_bad()
    lines = str(raised.value).splitlines()
    # The summary; five of the thirty and what is left out; the damaged mask.
    assert len(lines) == 1 + 5 + 1 + 1
    assert lines[6].strip() == "… and 25 more with this remedy."
    assert str(folder.mask("val", "d")) in lines[7]


class TestContainers:
    def test_a_jpeg_is_whole_with_restarts_scans_and_data_behind_it(self):
        options = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2]
        image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
        jpeg = cv2.imencode(".jpg", image, options)[1].tobytes()
        assert find_damage(jpeg) is None
        assert find_damage(jpeg + b"appended by a telephone") is None
        assert all(find_damage(jpeg[:end]) for end in range(3, len(jpeg)))

    def test_a_png_is_whole_only_to_its_last_byte(self):
        png = encode_png(np.arange(60, dtype=np.uint8).reshape(6, 10))
        assert find_damage(png) is None
        assert all(find_damage(png[:end]) for end in range(8, len(png)))

    def test_a_truncated_webp_is_damaged(self):
        image = np.zeros((20, 20, 3), np.uint8)
        webp = cv2.imencode(".webp", image)[1].tobytes()
        assert find_damage(webp) is None
        assert "truncated" in (find_damage(webp[:-4]) or "")

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    @pytest.mark.parametrize("orientation", [1, 3, 6, 8])
    def test_the_orientation_is_the_one_that_was_written(self, kind, orientation):
        exif = Image.Exif()
        exif[0x0112] = orientation
        content = io.BytesIO()
        Image.new("RGB", (8, 6)).save(content, kind, exif=exif)
        assert exif_orientation(content.getvalue()) == orientation


class TestSixteenBits:
    """Of images, whose values are scaled by `factor` from 8 bits."""

    @pytest.fixture
    def deep(self, folder):
        def write(factor: int) -> Verification:
            for split, stem in [("train", "a"), ("train", "b"), ("val", "d")]:
                values = folder.pixels(stem).astype(np.uint16) * factor
                write_image(folder.image(split, stem), values)
            return verify(folder.root)

        return write

    def test_what_is_lost_of_a_full_range_is_warned_of(self, deep):
        found = deep(257)
        assert found.ok
        warning = only(found.warnings)
        assert warning.reason.startswith(
            "3 of 5 images have 16 bits a sample, of which"
        )
        assert "levels" in warning.reason

    def test_values_of_twelve_bits_are_a_problem_with_its_factor(self, deep):
        found = only(deep(16).problems)
        assert found.kind == "sixteen-bits"
        # At most 255·16 = 4,080, whose upper 8 bits are 15.
        assert "they keep 16 of 256 levels" in found.reason
        assert "Multiply all values by 16" in found.remedy

    def test_dim_images_that_are_read_as_black_are_not_the_same_image(self, deep):
        found = deep(1)
        assert kinds(found.problems) == ["sixteen-bits"]
        assert "they keep 1 of 256 levels" in found.problems[0].reason
        assert not found.warnings


class TestCounting:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_ids_are_counted_by_hand(self, dtype):
        mask = np.array([[0, 0, 7], [255, 7, 0]], dtype)
        assert count_ids(mask) == {0: 3, 7: 2, 255: 1}

    def test_drawn_edges_have_no_ramps_and_blurred_ones_do(self):
        sharp = np.zeros((80, 80), np.uint8)
        cv2.circle(sharp, (40, 40), 30, 9, -1)
        assert ramp_share(sharp) == 0
        # One pixel of 5 between 0 and 9: one ramp for two changes of id.
        row = [0, 0, 5, 9, 9]
        assert ramp_share(np.array([row] * 60, np.uint8)) == 0.5


def test_camvid_has_no_fault_but_frames_of_one_video_in_two_splits(camvid: Path):
    names = "sky,building,pole,road,pavement,tree,sign,fence,car,pedestrian,bicyclist"
    found = verify(
        camvid, config=DataConfig(num_classes=11, ignore_index=11, class_names=names)
    )
    assert not found.problems
    leak = only(found.warnings)
    assert leak.kind == "sequence-leakage"
    assert "204 of 367 train images" in leak.reason
    assert set(kinds(found.notes)) == {
        "brightness-drift",
        "class-drift",
        "near-duplicate",
        "specks",
    }
    assert {split: len(pairs) for split, pairs in found.pairs.items()} == {
        "train": 367,
        "val": 101,
    }
    total = sum(pair.height * pair.width for pair in found.pairs["train"])
    void = sum(pair.ignored_pixels for pair in found.pairs["train"])
    road = sum(pair.class_pixels[3] for pair in found.pairs["train"])
    # The dataset's own README: void 3.95 %, road 31.7 %.
    assert void / total == pytest.approx(0.0395, abs=5e-5)
    assert road / total == pytest.approx(0.317, abs=5e-4)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (50, 1), (700, 500), (5, 300_000)])
def test_ids_are_counted_and_ramps_found_in_masks_of_any_shape(shape, dtype):
    draw = np.random.default_rng(0)
    mask = draw.integers(0, 5, shape, np.uint8).astype(dtype)
    mask[:, shape[1] // 2 :] *= np.iinfo(dtype).max // 4
    ids, pixels = np.unique(mask, return_counts=True)
    assert count_ids(mask) == dict(zip(ids.tolist(), pixels.tolist(), strict=True))
    steps = np.sign(np.diff(mask.astype(int), axis=1))
    ramps = (steps[:, 1:] == steps[:, :-1]) & (steps[:, 1:] != 0)
    changes = np.count_nonzero(steps)
    expected = np.count_nonzero(ramps) / changes if changes >= 50 else 0.0
    assert ramp_share(mask) == pytest.approx(expected, abs=1e-12)
