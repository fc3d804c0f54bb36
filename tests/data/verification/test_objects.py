"""Objects of masks are counted and measured, and what is odd about them is noted."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from seglib.data.image_io import write_image
from seglib.data.verification.objects import SIDES, choose_masks, measure_objects
from seglib.data.verification.verifier import verify
from seglib.steps.verify import write_verification
from tests.fakes.dataset_folder import DatasetFolder

MASKS = st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(
    lambda shape: arrays.arrays(
        st.sampled_from([np.uint8, np.uint16]), shape, elements=st.integers(0, 3)
    )
)


@settings(deadline=None)
@given(MASKS)
def test_objects_are_the_connected_components_that_opencv_finds(mask):
    mask = np.repeat(mask, 2, axis=1)
    found = measure_objects(mask)
    assert sorted(found) == np.unique(mask).tolist()
    for index, objects in found.items():
        is_class = (mask == index).astype(np.uint8)
        count, regions, stats, _ = cv2.connectedComponentsWithStats(
            is_class, connectivity=8
        )
        left, top, width, height, areas = stats[1:].T
        ends = (left + width == mask.shape[1]) | (top + height == mask.shape[0])
        assert objects.count == count - 1
        assert objects.at_edge == np.sum((left == 0) | (top == 0) | ends)
        sides = [_largest_square(regions == number) for number in range(1, count)]
        assert objects.thickness.tolist() == [sides.count(side) for side in SIDES]
        for side, pixels in zip(SIDES, objects.pixels, strict=True):
            assert pixels == sum(
                area for area, each in zip(areas, sides, strict=True) if each == side
            )


def _largest_square(region: np.ndarray) -> int:
    """The largest of the sides that fits, by looking at every place."""
    fitting = [
        side
        for side in SIDES
        if side <= min(region.shape)
        and np.lib.stride_tricks.sliding_window_view(region, (side, side))
        .all((2, 3))
        .any()
    ]
    return max(fitting)


def test_the_objects_of_two_masks_are_summarised_together():
    one, other = np.zeros((2, 40, 100), np.uint8)
    one[5:9, 10:60] = 1  # 200 pixels, 4 thick
    one[20, 20:50] = 1  # 30 pixels, 1 thick
    other[0:3, 0:1] = 1  # 3 pixels at the edge
    objects = measure_objects(one)[1] + measure_objects(other)[1]
    assert (objects.masks, objects.count, objects.at_edge) == (2, 3, 1)
    for received, area in zip(objects.area_quartiles(), (3, 30, 200), strict=True):
        assert area / 1.2 < received <= area
    shares = zip(objects.share_quartiles(), (3, 30, 200), strict=True)
    for received, area in shares:
        assert area / 4000 / 1.2 < received <= area / 4000
    assert objects.smaller_than(4) == pytest.approx(1 / 3)
    assert objects.thinner_than(4) == pytest.approx(2 / 3)
    assert objects.pixels_thinner_than(4) == pytest.approx(33 / 233)
    assert objects.median_side == 4


def test_a_mask_of_noise_has_no_objects():
    noise = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    assert measure_objects(noise) == {}


@pytest.mark.parametrize(
    ("pairs", "measured"), [(3, 3), (100, 16), (2000, 100), (9000, 256)]
)
def test_a_bounded_sample_is_measured_and_always_the_same(pairs, measured):
    assert len(choose_masks(pairs)) == measured
    assert choose_masks(pairs) == choose_masks(pairs)


def notes(folder: DatasetFolder) -> dict[str, str]:
    found = verify(folder.root)
    assert not found.problems
    return {note.kind: note.reason for note in found.notes}


def test_a_class_of_specks_is_noted_with_its_worst_mask(folder):
    for stem, count in {"a": 6, "b": 5, "c": 9}.items():
        mask = folder.ids()
        mask[0, : 3 * count : 3] = 2  # beside the car: specks of one pixel
        write_image(folder.mask("train", stem), mask)
    # 20 of the 23 objects of class 2.
    expected = "fewer than 4 pixels are 2 (car, 87%) of the objects; 9 of them in c.png"
    assert expected in notes(folder)["specks"]


def test_a_class_of_thin_objects_is_noted(folder):
    for stem in "abc":
        mask = folder.ids()
        mask[mask == 2] = 1
        mask[2:20, 6:9] = 2  # a pole of 3×18
        write_image(folder.mask("train", stem), mask)
    thin = notes(folder)["thin-objects"]
    assert "2 (car, 100%) of the objects in 3 masks" in thin
    assert "sky" not in thin


def test_a_class_with_few_objects_in_val_is_noted(folder):
    for index in range(10):
        mask = folder.ids()
        if index > 3:
            mask[mask == 2] = 1
        write_image(folder.image("val", f"{index}"), folder.pixels(f"{index}"))
        write_image(folder.mask("val", f"{index}"), mask)
    # The cars of d, e and of 4 of these 10.
    assert notes(folder)["few-objects"].startswith(
        "fewer than 10 objects in val of: 2 (car, 6)"
    )


def test_the_manifest_and_the_page_list_the_objects_of_each_class(folder, tmp_path):
    write_verification(verify(folder.root), tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    train = manifest["objects"]["train"]
    assert (train["masks"], train["masks_measured"]) == (3, 3)
    car = train["classes"][2]
    assert (car["name"], car["objects"], car["at_edge"]) == ("car", 3, 0)
    # 6×10 pixels: bins begin at 2 ** (23 / 4) = 53.8 and 2 ** (24 / 4) = 64.
    assert car["area_px"] == [54, 54, 54]
    assert car["median_thickness_px"] == 4
    page = (tmp_path / "out" / "report.html").read_text()
    assert "train: 3 masks" in page
    assert "54 · 54 · 54" in page
