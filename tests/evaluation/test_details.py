"""Boundary IoU, sizes, calibration: each against its definition, done slowly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seglib.evaluation.boundary import band_width, boundary_counts
from seglib.evaluation.calibration import (
    BINS,
    LEVELS,
    STEP,
    Calibration,
    confidence_counts,
)
from seglib.evaluation.counts import ImageCounts
from seglib.evaluation.sizes import size_counts

VOID = 9
MAPS = st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(
    lambda shape: st.tuples(
        arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, VOID])),
        arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2])),
    )
)


def slow_boundary(region: np.ndarray, width: int) -> np.ndarray:
    """Pixels of a region within `width` of its contour: eroded, and subtracted.

    As the paper's code does it: a frame of 0 around the mask, then erosions by 3×3.
    """
    inner = np.pad(region, 1)
    for _ in range(width):
        framed = np.pad(inner, 1)
        neighbours = [
            framed[i : i + inner.shape[0], j : j + inner.shape[1]]
            for i in range(3)
            for j in range(3)
        ]
        inner = np.logical_and.reduce(neighbours)
    return region & ~inner[1:-1, 1:-1]


def slow_boundary_counts(mask, prediction):
    width, counted = band_width(mask.shape), mask != VOID
    met, either = [], []
    for index in range(3):
        true = slow_boundary((mask == index) & counted, width)
        guess = slow_boundary((prediction == index) & counted, width)
        met.append((true & guess).sum())
        either.append((true | guess).sum())
    return met, either


@given(MAPS)
def test_boundary_counts_equal_the_definition_on_any_masks(maps):
    found = boundary_counts(*maps, num_classes=3, ignore_index=VOID)
    assert [counts.tolist() for counts in found] == list(slow_boundary_counts(*maps))


def test_boundary_counts_equal_the_definition_on_shapes():
    rows, columns = np.mgrid[:90, :120]
    disc = (rows - 40) ** 2 + (columns - 50) ** 2 < 25**2
    mask = disc.astype(np.uint8)
    mask[60:80, 70:110] = 2
    mask[:10, :30] = VOID
    moved = np.roll(mask, (3, 2), (0, 1))
    moved[moved == VOID] = 0
    assert band_width(mask.shape) == 3  # 2 % of 150
    found = boundary_counts(mask, moved, num_classes=3, ignore_index=VOID)
    assert [counts.tolist() for counts in found] == list(
        slow_boundary_counts(mask, moved)
    )
    met, either = boundary_counts(mask, mask, num_classes=3, ignore_index=VOID)
    assert (met == either).all()


def test_a_square_that_is_one_pixel_off():
    # In 20×20 the band is 1 pixel: of a 6×6 square, its frame of 20 pixels. Moved one
    # column on, the frames share 2 × 5 pixels of the upper and lower side.
    mask, moved = np.zeros((2, 20, 20), np.uint8)
    mask[5:11, 5:11] = moved[5:11, 6:12] = 1
    met, either = boundary_counts(mask, moved, num_classes=2)
    assert (met[1], either[1]) == (10, 30)


def test_an_ignored_id_among_the_classes_counts_nowhere():
    mask, prediction = np.array([[0, 1, 1, 2]] * 4), np.array([[0, 1, 2, 1]] * 4)
    met, either = boundary_counts(mask, prediction, num_classes=3, ignore_index=1)
    # Left: class 0 is met. Right: 2 taken for 1. Between: ignored.
    assert met.tolist() == [4, 0, 0]
    assert either.tolist() == [4, 4, 4]
    sizes = size_counts(mask, prediction, num_classes=3, ignore_index=1)
    assert sizes[0].tolist() == [[1, 4, 4], [0, 0, 0], [1, 4, 0]]
    sampled = confidence_counts(
        mask, prediction, np.zeros((1, 1), np.uint16), num_classes=3, ignore_index=1
    )
    assert sampled[..., 0].sum() == 1


def test_objects_are_counted_by_their_size():
    mask = np.full((200, 200), VOID)
    mask[:100, :100] = 1  # 10,000 pixels: large
    mask[110:142, 0:32] = 1  # 1,024: medium
    mask[150:180, 0:30] = 1  # 900: small,
    mask[180, 30] = 1  # and one more pixel of it, at its corner
    mask[0:31, 150:181] = 0  # 961: small
    prediction = np.ones_like(mask)
    prediction[:10, :100] = 0
    counts = size_counts(mask, prediction, num_classes=2, ignore_index=VOID)
    assert counts[:, 1].tolist() == [[1, 901, 901], [1, 1024, 1024], [1, 10000, 9000]]
    assert counts[:, 0].tolist() == [[1, 961, 0], [0, 0, 0], [0, 0, 0]]


def test_calibration_error_equals_that_of_all_pixels_one_by_one():
    rng = np.random.default_rng(0)
    mask = rng.choice([0, 1, VOID], (80, 60))
    prediction = rng.integers(0, 2, mask.shape)
    levels = rng.integers(LEVELS // 2, LEVELS + 1, (20, 15)).astype(np.uint16)
    counts = confidence_counts(
        mask, prediction, levels, num_classes=2, ignore_index=VOID
    )
    true, guess = mask[::STEP, ::STEP], prediction[::STEP, ::STEP]
    kept = true != VOID
    right, sure = (true == guess)[kept], levels[kept] / LEVELS
    error = 0.0
    for index in range(BINS):
        inside = (sure >= index / BINS) & (sure < (index + 1) / BINS)
        inside |= (sure == 1.0) & (index == BINS - 1)
        if inside.any():
            error += abs(right[inside].mean() - sure[inside].mean()) * inside.mean()
    assert Calibration(counts).ece == pytest.approx(error, abs=1e-12)
    of_class = guess[kept] == 1
    found = Calibration(counts)
    assert found.class_accuracy[1] == pytest.approx(right[of_class].mean())
    assert found.class_confidence[1] == pytest.approx(sure[of_class].mean())


def test_a_model_without_counted_pixels_has_no_calibration():
    found = Calibration(np.zeros((2, BINS, 3), np.int64))
    assert np.isnan(found.ece)
    assert np.isnan(found.confidence).all()


def test_the_images_that_carry_a_class_hold_most_of_its_pixels():
    # Class 0: 80 of 100 pixels are in one image; class 1: 4 of 5 equal images hold
    # 80 %; class 2 is in none.
    true = np.array([[80, 10, 0], [20, 10, 0], [0, 10, 0], [0, 10, 0], [0, 10, 0]])
    counts = ImageCounts(tuple("abcde"), true, true, true)
    assert counts.class_images.tolist() == [2, 5, 0]
    assert counts.class_carriers.tolist() == [1, 4, 0]
