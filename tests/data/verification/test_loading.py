"""What is a problem to `verify` is one to whoever loads the dataset."""

import logging

import cv2
import numpy as np
import pytest

from seglib.config import MAX_CLASSES
from seglib.data.image_io import encode_jpeg, write_image
from seglib.data.verification.loading import load_dataset
from seglib.data.verification.verifier import verify
from seglib.errors import DatasetError, UsageError

ALL = [*(("train", stem) for stem in "abc"), *(("val", stem) for stem in "de")]


def redraw(folder, change) -> None:
    """Change every mask, which nobody describes any more."""
    (folder.root / "dataset.yaml").unlink()
    for split, stem in ALL:
        write_image(folder.mask(split, stem), change(folder.ids()))


def car(ids: np.ndarray) -> np.ndarray:
    return (ids == 2).astype(np.uint8)


def colours(ids: np.ndarray) -> np.ndarray:
    return np.dstack([car(ids) * 200, car(ids) * 0, car(ids) * 90])


def smoothed(ids: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(car(ids) * 200, (7, 7), 2)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda ids: car(ids) * 255, "multiple of 255, as if stretched"),
        (lambda ids: car(ids).astype(np.uint16) * 65535, "multiple of 65535"),
        (lambda ids: car(ids) * 128, "only 2 of the ids up to 128 occur in train"),
        (lambda ids: car(ids).astype(np.uint16) * 60000, "ids up to 1023 occur"),
        (lambda ids: car(ids) * 0, "has a single class; a model needs two"),
        (colours, "a colour-coded mask: 2 colours"),
        (smoothed, "ids up to"),
    ],
)
def test_masks_are_judged_as_they_are_verified(folder, change, told):
    redraw(folder, change)
    with pytest.raises(DatasetError, match=told) as raised:
        load_dataset(folder.root)
    with pytest.raises(DatasetError) as verified:
        verify(folder.root).raise_if_bad()
    assert str(raised.value) == str(verified.value)


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (lambda ids: car(ids) * 255, {"num_classes": 256}),
        (lambda ids: car(ids) * 128, {"num_classes": 129}),
        (lambda ids: car(ids) * 0, {"num_classes": 2}),
        (lambda ids: car(ids) * 255 + (ids == 1), {"ignore_index": 255}),
    ],
)
def test_an_unusual_dataset_loads_with_options_that_describe_it(
    folder, change, options
):
    redraw(folder, change)
    dataset = load_dataset(folder.root, **options)
    assert dataset.num_classes == options.get("num_classes", 2)


def test_warnings_of_verification_are_logged_a_few_of_each_kind(folder, caplog):
    for split, stem in ALL:
        path = folder.mask(split, stem)
        path.unlink()
        ids = np.repeat(np.repeat(car(folder.ids()), 8, 0), 8, 1) * 0
        ids[: ids.shape[0] // 2] = 1
        grey = np.dstack([ids] * 3)
        path.with_suffix(".jpg").write_bytes(encode_jpeg(grey, quality=100))
        write_image(folder.image(split, stem), folder.pixels(stem, size=ids.shape))
    folder.describe("class_names: [sky, road]\n")
    with caplog.at_level(logging.WARNING, "seglib"):
        load_dataset(folder.root)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 5
    assert all("a JPEG mask: lossy compression" in line for line in told)


def test_a_missing_val_split_is_warned_of_where_it_is_wanted(folder, caplog):
    for part in ("images", "segmentation"):
        (folder.root / f"val_{part}").rename(folder.root / f"test_{part}")
    with caplog.at_level(logging.WARNING, "seglib"):
        load_dataset(folder.root, splits=("auto",))
        assert not caplog.records
        load_dataset(folder.root, splits=("train", "val"))
    (record,) = caplog.records
    assert "no val split" in record.getMessage()


def test_only_the_wanted_splits_are_opened(folder):
    write_image(folder.mask("train", "a"), folder.ids() + 3)
    opened = []
    dataset = load_dataset(
        folder.root, splits=("auto",), progress=lambda *done: opened.append(done)
    )
    assert opened == [(2, 2)]
    assert [*dataset.splits] == ["train", "val"]
    with pytest.raises(DatasetError, match="ids outside"):
        load_dataset(folder.root, splits=("train",))


def test_a_class_that_lies_in_a_split_that_was_not_opened_is_not_missed(folder, caplog):
    for stem in "abc":
        write_image(folder.mask("train", stem), np.minimum(folder.ids(), 1))
    with caplog.at_level(logging.WARNING, "seglib"):
        load_dataset(folder.root, splits=("val",))
        assert not caplog.records
        load_dataset(folder.root, splits=("train",))
    (record,) = caplog.records
    assert "no pixel in train of 2 (car)" in record.getMessage()


def test_the_training_masks_tell_the_classes_whatever_is_opened(folder):
    (folder.root / "dataset.yaml").unlink()
    for stem in "de":
        write_image(folder.mask("val", stem), np.minimum(folder.ids(), 1))
    for splits in (("val",), ()):
        dataset = load_dataset(folder.root, ignore_index=255, splits=splits)
        assert dataset.num_classes == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"num_classes": 100_000_000},
            f"`num_classes` must be ≥ 0 and ≤ {MAX_CLASSES}",
        ),
        ({"num_classes": -1}, "`num_classes` must be"),
        ({"ignore_index": 65536}, "`ignore_index` must be ≥ -1 and ≤ 65535"),
        ({"ignore_index": -2}, "`ignore_index` must be"),
    ],
)
def test_a_number_that_cannot_be_is_wrong_use(folder, options, message):
    with pytest.raises(UsageError, match=message):
        load_dataset(folder.root, **options)
