"""Every fault is made on disk, and its message matched."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from seglib.config import DataConfig
from seglib.data.image_io import encode_jpeg, encode_png, write_image
from seglib.data.integrity import exif_orientation, find_damage
from seglib.data.problems import Problem
from seglib.data.verification.pair_checks import count_ids, ramp_share
from seglib.data.verification.verifier import Verification, verify
from seglib.errors import DatasetError


def only(found: tuple[Problem, ...]) -> Problem:
    assert len(found) == 1, list(map(str, found))
    return found[0]


def problem(folder, **options) -> Problem:
    """The one problem of a folder; `DataConfig` options apply."""
    return only(verify(folder.root, config=DataConfig(**options)).problems)


def kinds(found: tuple[Problem, ...]) -> list[str]:
    return sorted(each.kind for each in found)


def nothing_to_say(found: Verification) -> bool:
    return not (found.problems or found.warnings or found.notes)


class TestCleanDataset:
    def test_a_clean_dataset_has_nothing_to_report(self, folder):
        found = verify(folder.root)
        assert found.ok
        assert nothing_to_say(found)
        found.raise_if_bad()

    def test_the_facts_of_a_pair_are_its_pixels_counted(self, folder):
        facts = verify(folder.root).pairs["train"][0]
        # 8·32 sky, 14·32 − 60 road, 6·10 car, 2·32 void.
        assert (facts.class_pixels, facts.ignored_pixels) == ((256, 388, 60), 64)
        assert (facts.height, facts.width, facts.stem) == (24, 32, "a")
        assert facts.image == "train_images/a.png"
        assert facts.image_size_bytes == folder.image("train", "a").stat().st_size

    def test_progress_counts_every_pair(self, folder):
        calls = []
        verify(folder.root, progress=lambda done, total: calls.append((done, total)))
        assert calls == [(i, 5) for i in range(1, 6)]

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

    def test_sixteen_bit_masks_are_fine_while_their_ids_are_in_range(self, folder):
        write_image(folder.mask("train", "a"), folder.ids().astype(np.uint16))
        found = verify(folder.root)
        assert nothing_to_say(found)
        assert found.pairs["train"][0].class_pixels == (256, 388, 60)

    def test_a_grey_mask_saved_as_rgb_is_read_by_its_channel(self, folder):
        write_image(folder.mask("train", "a"), np.dstack([folder.ids()] * 3))
        assert nothing_to_say(verify(folder.root))

    def test_palette_masks_are_read_by_index_and_noted(self, folder):
        save_palette(folder.mask("train", "a"), folder.ids(), [200, 0, 0, 0, 90, 0])
        found = verify(folder.root)
        assert found.ok
        assert found.pairs["train"][0].class_pixels == (256, 388, 60)
        assert "1 of 5 masks have a palette" in str(only(found.notes))

    def test_palette_masks_with_different_tables_are_warned_of(self, folder):
        save_palette(folder.mask("train", "a"), folder.ids(), [200, 0, 0, 0, 90, 0])
        save_palette(folder.mask("train", "b"), folder.ids(), [0, 90, 0, 200, 0, 0])
        found = verify(folder.root)
        assert found.ok
        assert "one index may stand for two classes" in str(only(found.warnings))


class TestListing:
    def test_a_missing_folder_is_named(self, tmp_path):
        with pytest.raises(DatasetError, match="nowhere: no such folder"):
            verify(tmp_path / "nowhere")

    def test_a_folder_without_splits_says_what_was_expected(self, tmp_path):
        with pytest.raises(DatasetError, match=r"no split found.*train_images/"):
            verify(tmp_path)

    def test_a_missing_mask_folder_is_a_problem(self, folder):
        (folder.root / "test_images").mkdir()
        write_image(folder.image("test", "t"), folder.pixels("t"))
        found = verify(folder.root)
        assert kinds(found.problems) == ["image-without-mask", "missing-folder"]
        assert f"{folder.root}/test_segmentation: no such folder. Create it" in str(
            found.problems[1]
        )

    def test_an_empty_split_is_a_problem(self, folder):
        (folder.root / "test_images").mkdir()
        (folder.root / "test_segmentation").mkdir()
        assert "the split `test` is empty" in problem(folder).reason

    def test_an_image_without_mask_is_a_problem(self, folder):
        folder.mask("train", "b").unlink()
        found = problem(folder)
        assert found.path == folder.image("train", "b")
        assert "image without mask; expected train_segmentation/b.png" in found.reason
        assert found.remedy == "Add the mask, or remove the image."

    def test_a_mask_without_image_is_a_problem(self, folder):
        folder.image("val", "e").unlink()
        found = problem(folder)
        assert found.path == folder.mask("val", "e")
        assert found.reason == "mask without image; expected val_images/e.*"

    def test_two_images_of_one_stem_are_a_problem(self, folder):
        write_image(folder.root / "train_images" / "a.jpg", folder.pixels("other"))
        found = problem(folder)
        assert found.kind == "same-stem"
        assert found.path == folder.image("train", "a")
        assert "same stem as a.jpg" in found.reason

    def test_a_file_that_is_no_image_is_a_problem(self, folder):
        (folder.root / "train_images" / "notes.txt").write_text("hello")
        found = problem(folder)
        assert found.reason == "not an image file by its suffix"
        assert found.remedy == "Move it out of the folder."

    def test_folders_that_nobody_reads_are_warned_of(self, folder):
        (folder.root / "train_images" / "more").mkdir()
        (folder.root / "validation_images").mkdir()
        found = verify(folder.root)
        assert found.ok
        assert kinds(found.warnings) == ["folder-not-read"] * 2

    def test_a_missing_val_split_is_warned_of(self, folder):
        for split in ("val_images", "val_segmentation"):
            (folder.root / split).rename(folder.root / split.replace("val", "test"))
        found = verify(folder.root)
        assert found.ok
        assert "no val split" in only(found.warnings).reason


class TestSizes:
    def test_a_size_mismatch_names_both_sizes(self, folder):
        write_image(folder.mask("train", "a"), folder.ids()[:20])
        assert "the image is 24×32, the mask 20×32" in problem(folder).reason

    def test_a_shrunk_mask_is_to_be_resized_with_nearest_neighbour(self, folder):
        write_image(folder.mask("train", "a"), folder.ids()[::2, ::2])
        found = problem(folder)
        assert "the image is 24×32, the mask 12×16" in found.reason
        assert "nearest neighbour" in found.remedy

    def test_swapped_sides_are_recognised(self, folder):
        write_image(folder.mask("train", "a"), folder.ids().T)
        assert "height and width are swapped" in problem(folder).reason

    def test_exif_rotation_is_named_as_the_cause(self, folder):
        save_turned(folder, "a", folder.pixels("a"), orientation=6)
        found = problem(folder)
        assert "the image is 32×24, the mask 24×32" in found.reason
        assert "EXIF orientation 6 turns it upright from 24×32" in found.reason
        assert "Turn the mask in the same way" in found.remedy

    def test_a_mask_that_was_turned_like_its_image_is_fine(self, folder):
        save_turned(folder, "a", folder.pixels("a"), orientation=6)
        write_image(folder.mask("train", "a"), np.rot90(folder.ids(), -1).copy())
        assert nothing_to_say(verify(folder.root))

    def test_a_rotation_that_sizes_cannot_tell_is_warned_of(self, folder):
        save_turned(folder, "a", folder.pixels("a"), orientation=3)
        found = verify(folder.root)
        assert found.ok
        assert "EXIF orientation 3" in only(found.warnings).reason


class TestIds:
    def test_stray_ids_are_named_with_their_pixels(self, folder):
        mask = folder.ids()
        mask[0, :7], mask[1, 0] = 9, 200
        write_image(folder.mask("train", "b"), mask)
        found = problem(folder)
        # 7 of 768 pixels are 0.9 %, 1 is 0.1 %.
        assert found.path == folder.mask("train", "b")
        assert found.reason == "ids outside 0 … 2: 9 (7 px, 0.9%), 200 (1 px, 0.1%)"
        assert "pass --num-classes 201" in found.remedy

    def test_255_looks_like_void(self, folder):
        folder.describe("class_names: [sky, road, car]\n")
        found = verify(folder.root)
        assert len(found.problems) == 5
        assert found.problems[0].reason == "ids outside 0 … 2: 255 (64 px, 8.3%)"
        assert found.problems[0].remedy == (
            "255 looks like void: pass --ignore-index 255."
        )
        assert verify(folder.root, config=DataConfig(ignore_index=255)).ok

    def test_a_second_void_is_to_become_the_first(self, folder):
        remedy = (
            verify(folder.root, config=DataConfig(ignore_index=9)).problems[0].remedy
        )
        assert remedy == "255 looks like void: write 9, the ignored id, in its place."

    def test_the_id_above_the_last_class_is_void_or_a_class(self, folder):
        folder.describe("class_names: [sky, road]\nignore_index: 255\n")
        found = verify(folder.root).problems[0]
        assert "If 2 is void, write 255, the ignored id, in its place" in found.remedy
        assert "pass --num-classes 3" in found.remedy

    def test_ids_that_start_at_one_are_recognised(self, folder):
        mask = folder.ids()
        write_image(folder.mask("train", "a"), mask + (mask < 255))
        assert "Ids seem to start at 1" in problem(folder).remedy

    def test_a_black_and_white_mask_is_recognised(self, folder):
        folder.describe("class_names: [background, car]\n")
        for split, stem in [*(("train", s) for s in "abc"), ("val", "d"), ("val", "e")]:
            mask = np.uint8(255) * (folder.ids() == 2)
            write_image(folder.mask(split, stem), mask)
        remedy = verify(folder.root).problems[0].remedy
        assert "Every id of the dataset is a multiple of 255" in remedy
        assert "divide the ids by 255" in remedy
        assert "--ignore-index 255" in remedy

    def test_an_anti_aliased_mask_is_recognised_by_its_stray_ids(self, folder):
        write_image(folder.mask("train", "a"), smooth_circle(ids=(0, 240)))
        write_image(folder.image("train", "a"), folder.pixels("a", size=(96, 96)))
        assert "Looks like an anti-aliased mask" in problem(folder).remedy

    def test_an_anti_aliased_mask_with_ids_in_range_is_warned_of(self, folder):
        folder.describe("num_classes: 11\nignore_index: 255\n")
        write_image(folder.mask("train", "a"), smooth_circle(ids=(0, 10)))
        write_image(folder.image("train", "a"), folder.pixels("a", size=(96, 96)))
        found = verify(folder.root)
        assert found.ok
        blurred = [w for w in found.warnings if w.kind == "anti-aliased-mask"]
        assert only(tuple(blurred)).path == folder.mask("train", "a")

    def test_a_colour_coded_mask_names_its_colours(self, folder):
        colours = np.array([[128, 64, 128], [70, 70, 70], [0, 0, 142]], np.uint8)
        mask = folder.ids()
        mask[mask == 255] = 0
        write_image(folder.mask("train", "a"), colours[mask])
        found = problem(folder)
        # Most frequent first: 388 pixels of road, 320 of sky, 60 of the car.
        assert (
            "a colour-coded mask: 3 colours such as (70, 70, 70), (128, 64, 128), "
            in (found.reason)
        )
        assert "Map each colour to its class id" in found.remedy

    def test_a_photograph_in_place_of_a_mask_is_recognised(self, folder):
        write_image(folder.mask("train", "a"), folder.pixels("a"))
        assert "colours instead of class ids: a photograph" in problem(folder).reason

    def test_sixteen_bit_ids_out_of_range_are_caught(self, folder):
        mask = folder.ids().astype(np.uint16)
        mask[:2, :5] = 300
        write_image(folder.mask("train", "a"), mask)
        assert "300 (10 px, 1.3%)" in problem(folder).reason

    def test_palette_indices_out_of_range_are_caught(self, folder):
        mask = folder.ids()
        mask[0, 0] = 5
        save_palette(folder.mask("train", "a"), mask, [0, 0, 0, 1, 1, 1])
        assert "ids outside 0 … 2: 5 (1 px, 0.1%)" in problem(folder).reason

    def test_a_one_bit_mask_is_warned_of_because_others_stretch_it(self, folder):
        bits = Image.fromarray(folder.ids() == 2)
        bits.save(folder.mask("train", "a"))
        found = verify(folder.root)
        assert found.ok
        assert kinds(found.warnings) == ["stretched-ids"]
        assert "(id 1 becomes 255)" in found.warnings[0].reason

    def test_a_jpeg_mask_is_warned_of_whatever_its_suffix(self, folder):
        flat = np.ones((24, 32, 3), np.uint8)
        folder.mask("train", "a").write_bytes(encode_jpeg(flat))
        found = verify(folder.root)
        assert found.ok
        assert kinds(found.warnings) == ["lossy-mask", "one-class"]

    def test_a_mask_of_one_class_is_warned_of(self, folder):
        write_image(folder.mask("train", "a"), np.zeros((24, 32), np.uint8))
        found = verify(folder.root)
        assert found.ok
        assert only(found.warnings).reason == "every counted pixel is of class 0"

    def test_a_mask_that_is_ignored_as_a_whole_is_warned_of(self, folder):
        write_image(folder.mask("train", "a"), np.full((24, 32), 255, np.uint8))
        found = verify(folder.root)
        assert found.ok
        assert only(found.warnings).reason == "every pixel is ignored"


class TestClassesThatNobodyNamed:
    def test_classes_are_counted_by_the_largest_id_and_noted(self, folder):
        folder.describe("ignore_index: 255\n")
        found = verify(folder.root)
        assert found.ok
        assert found.dataset.class_names == ("class_0", "class_1", "class_2")
        assert "3, by the largest id in train" in only(found.notes).reason

    def test_255_is_not_taken_for_a_class(self, folder):
        (folder.root / "dataset.yaml").unlink()
        found = verify(folder.root)
        assert found.dataset.num_classes == 3
        assert "255 looks like void" in found.problems[0].remedy

    def test_ids_with_large_gaps_need_a_number_of_classes(self, folder):
        folder.describe("ignore_index: 255\n")
        mask = folder.ids()
        mask[mask == 2] = 128
        write_image(folder.mask("train", "a"), mask)
        found = problem(folder)
        assert "only 5 of the ids up to 128 occur in train" in found.reason
        assert "Pass --num-classes" in found.remedy

    def test_a_damaged_mask_does_not_stop_the_counting(self, folder):
        folder.describe("ignore_index: 255\n")
        folder.mask("train", "a").write_bytes(b"")
        found = verify(folder.root)
        assert found.dataset.num_classes == 3
        assert kinds(found.problems) == ["damaged-file"]

    def test_a_palette_of_another_length_is_a_problem(self, folder):
        folder.describe("ignore_index: 255\npalette: [[1, 2, 3], [4, 5, 6]]\n")
        assert "2 colours for 3 classes" in problem(folder).reason


class TestDamage:
    def test_an_empty_file_is_a_problem(self, folder):
        folder.image("train", "a").write_bytes(b"")
        assert problem(folder).reason == "the file is empty (0 bytes)"

    def test_a_text_file_in_disguise_is_a_problem(self, folder):
        folder.image("train", "a").write_text("not a picture")
        assert problem(folder).reason.endswith("a damaged one (13 bytes)")

    @pytest.mark.parametrize("kept", [0.3, 0.6, 0.97])
    def test_a_truncated_png_is_a_problem(self, folder, kept):
        truncate(folder.mask("train", "a"), kept)
        found = problem(folder)
        assert "truncated: the file ends inside" in found.reason
        assert found.remedy == "Restore it, or remove it together with its partner."

    def test_a_png_without_its_last_chunk_is_a_problem(self, folder):
        path = folder.image("train", "a")
        path.write_bytes(path.read_bytes()[:-12])
        assert problem(folder).reason == "truncated: no closing IEND chunk"

    def test_a_flipped_bit_in_a_png_is_a_problem(self, folder):
        path = folder.image("train", "a")
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        assert problem(folder).reason == (
            "corrupt: the checksum of its IDAT chunk does not match"
        )

    @pytest.mark.parametrize("kept", [0.5, 0.99])
    def test_a_truncated_jpeg_is_a_problem(self, folder, kept):
        folder.image("train", "a").write_bytes(encode_jpeg(folder.pixels("a")))
        assert verify(folder.root).ok
        truncate(folder.image("train", "a"), kept)
        assert problem(folder).reason == "truncated: no end-of-image marker"

    def test_the_other_pairs_stay_usable(self, folder):
        truncate(folder.mask("train", "a"), 0.5)
        found = verify(folder.root)
        assert [pair.stem for pair in found.pairs["train"]] == ["b", "c"]
        assert [pair.stem for pair in found.dataset.splits["train"]] == ["a", "b", "c"]

    def test_raised_problems_of_one_remedy_do_not_hide_the_others(self, folder):
        for number in range(30):
            (folder.root / "train_images" / f"{number}.txt").write_text("")
        truncate(folder.mask("val", "d"), 0.5)
        with pytest.raises(DatasetError, match=r"31 problem\(s\)") as raised:
            verify(folder.root).raise_if_bad()
        lines = str(raised.value).splitlines()
        # The summary; five of the thirty and what is left out; the damaged mask.
        assert len(lines) == 1 + 5 + 1 + 1
        assert lines[6].strip() == "… and 25 more with this remedy."
        assert str(folder.mask("val", "d")) in lines[7]

    def test_problems_are_raised_together(self, folder):
        truncate(folder.mask("train", "a"), 0.5)
        folder.image("val", "e").unlink()
        with pytest.raises(DatasetError, match=r"2 problem\(s\)") as raised:
            verify(folder.root).raise_if_bad()
        assert str(folder.mask("train", "a")) in str(raised.value)
        assert str(folder.mask("val", "e")) in str(raised.value)


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


class TestBetweenPairs:
    def test_a_duplicate_inside_a_split_is_warned_of(self, folder):
        write_image(folder.image("train", "b"), folder.pixels("a"))
        found = verify(folder.root)
        assert found.ok
        warning = only(found.warnings)
        assert warning.path == folder.image("train", "b")
        assert warning.reason == "the same pixels as train_images/a.png"

    def test_a_duplicate_across_splits_is_leakage_in_any_file_format(self, folder):
        bitmap = cv2.imencode(".bmp", folder.pixels("a")[..., ::-1])[1]
        folder.image("val", "d").unlink()
        folder.image("val", "d").with_suffix(".bmp").write_bytes(bitmap.tobytes())
        found = verify(folder.root)
        assert found.ok
        warning = only(found.warnings)
        assert warning.kind == "leakage"
        assert "leakage: the same pixels as train_images/a.png" in warning.reason
        assert "Remove the pair from train or val" in warning.remedy

    def test_duplicates_with_different_masks_are_told_apart(self, folder):
        write_image(folder.image("train", "b"), folder.pixels("a"))
        write_image(folder.mask("train", "b"), folder.ids()[:, ::-1].copy())
        assert "but their masks differ" in only(verify(folder.root).warnings).reason

    def test_a_class_that_only_val_shows_is_warned_of(self, folder):
        for stem in "abc":
            mask = folder.ids()
            mask[mask == 2] = 1
            write_image(folder.mask("train", stem), mask)
        found = verify(folder.root)
        assert found.ok
        assert only(found.warnings).reason == "present only in val: 2 (car)"

    def test_a_class_that_val_lacks_is_noted(self, folder):
        for stem in "de":
            mask = folder.ids()
            mask[mask == 2] = 1
            write_image(folder.mask("val", stem), mask)
        found = verify(folder.root)
        assert not found.warnings
        assert only(found.notes).reason == "absent from val: 2 (car)"

    def test_a_class_that_no_mask_shows_is_warned_of(self, folder):
        folder.describe("class_names: [sky, road, car, <boat>]\nignore_index: 255\n")
        warning = only(verify(folder.root).warnings)
        assert warning.reason == "no pixel in any split of 3 (<boat>)"

    def test_an_ignored_class_is_warned_of(self, folder):
        folder.describe("class_names: [sky, road, car]\nignore_index: 0\n")
        found = verify(folder.root, config=DataConfig(num_classes=0))
        warnings = [w for w in found.warnings if w.kind == "class-ignored"]
        assert "0 (sky) is ignored, and a class, too" in only(tuple(warnings)).reason

    def test_classes_are_not_missed_because_their_masks_have_problems(self, folder):
        """`class_names` names too few: every mask has an id that is out of range."""
        folder.describe("class_names: [sky, road]\nignore_index: 255\n")
        found = verify(folder.root)
        assert kinds(found.problems) == ["ids-out-of-range"] * 5
        assert not found.warnings
        assert not found.notes

    @pytest.mark.parametrize("split", ["train", "val"])
    def test_a_damaged_mask_may_show_the_class_that_the_others_lack(
        self, folder, split
    ):
        folder.describe("class_names: [sky, road, car, boat]\nignore_index: 255\n")
        stem = {"train": "a", "val": "d"}[split]
        truncate(folder.mask(split, stem), 0.5)
        found = verify(folder.root)
        assert kinds(found.problems) == ["damaged-file"]
        assert not found.warnings

    @pytest.mark.parametrize("options", [{}, {"num_classes": 1}])
    def test_a_single_class_is_a_problem(self, folder, options):
        folder.describe("ignore_index: 255\n")
        for split, stem in [*(("train", s) for s in "abc"), ("val", "d"), ("val", "e")]:
            write_image(folder.mask(split, stem), folder.ids() // 255 * 255)
        found = problem(folder, **options)
        assert found.kind == "too-few-classes"
        assert "pass --num-classes 2" in found.remedy
        assert verify(folder.root, config=DataConfig(num_classes=2)).ok

    def test_a_single_class_is_not_reported_if_another_problem_explains_it(
        self, folder
    ):
        (folder.root / "dataset.yaml").unlink()
        for split, stem in [*(("train", s) for s in "abc"), ("val", "d"), ("val", "e")]:
            truncate(folder.mask(split, stem), 0.5)
        assert kinds(verify(folder.root).problems) == ["damaged-file"] * 5


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


def test_camvid_is_clean(camvid: Path):
    names = "sky,building,pole,road,pavement,tree,sign,fence,car,pedestrian,bicyclist"
    found = verify(
        camvid, config=DataConfig(num_classes=11, ignore_index=11, class_names=names)
    )
    assert nothing_to_say(found)
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


def save_palette(path: Path, ids: np.ndarray, colours: list[int]) -> None:
    image = Image.fromarray(ids)
    image.putpalette(colours + [0] * (768 - len(colours)))
    image.save(path)


def save_turned(folder, stem: str, image: np.ndarray, *, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = folder.image("train", stem)
    path.unlink()
    Image.fromarray(image).save(path.with_suffix(".jpg"), exif=exif)


def smooth_circle(*, ids: tuple[int, int]) -> np.ndarray:
    mask = np.full((96, 96), ids[0], np.uint8)
    cv2.circle(mask, (48, 48), 40, ids[1], -1, cv2.LINE_AA)
    return mask


def truncate(path: Path, kept: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
