"""What a plan knows of a dataset."""

import cv2
import numpy as np
import pytest

from seglib.data.image_io import write_image
from seglib.errors import DatasetError
from seglib.planning.document import class_rows, dataset_rows
from seglib.planning.fingerprint import take_fingerprint


def test_the_facts_are_those_of_the_folder(folder):
    facts = take_fingerprint(folder.root)
    # Each mask: 256 pixels of sky, 388 of road, 60 of a car, 64 ignored.
    assert facts.class_pixels.tolist() == [[256, 388, 60]] * 3
    assert (facts.size, facts.channels, facts.stored) == ((24, 32), 3, {(3, 8)})
    assert facts.imbalance == pytest.approx(388 / 60)
    assert facts.void_share == pytest.approx(64 / 768)
    rows = dict(dataset_rows(facts))
    assert (rows["train images"], rows["val images"]) == ("3", "2")
    assert rows["height×width"] == "24×32 (all)"
    assert class_rows(facts)[3] == ("2", "car", "8.52%", "3", "4 px")


def test_of_many_pairs_the_same_sample_is_opened_each_time(folder):
    def opened():
        facts = take_fingerprint(folder.root, at_most=2, progress=told.append_both)
        return facts.opened, facts.images("train"), dict(dataset_rows(facts))

    class Told(list):
        def append_both(self, done, total):
            self.append((done, total))

    told = Told()
    first = opened()
    assert first == opened()
    assert first[:2] == ({"train": 2, "val": 2}, 3)
    assert first[2]["train images"] == "3, a sample of 2 was opened"
    assert told[-1] == (4, 4)


@pytest.mark.parametrize(
    ("image", "stored", "channels"),
    [
        (np.full((24, 32), 900, np.uint16), (1, 16), 3),
        (np.dstack([np.zeros((24, 32, 3)), np.full((24, 32), 255)]), (3, 8), 3),
        (
            np.dstack([np.zeros((24, 32, 3)), np.arange(768).reshape(24, 32) % 256]),
            (4, 8),
            4,
        ),
    ],
)
def test_channels_are_those_that_the_files_use(folder, image, stored, channels):
    image = image if image.dtype == np.uint16 else image.astype(np.uint8)
    for stem in "abc":
        cv2.imwrite(
            str(folder.image("train", stem)), image * (60 if image.ndim == 2 else 1)
        )
    facts = take_fingerprint(folder.root)
    assert (facts.stored, facts.channels) == ({stored}, channels)


def test_a_number_of_classes_that_was_inferred_is_told(folder, caplog):
    folder.describe("ignore_index: 255\n")
    with caplog.at_level("INFO"):
        assert take_fingerprint(folder.root).dataset.num_classes == 3
    assert "if 2 is void, pass --ignore-index 2" in caplog.text


def test_masks_without_a_counted_pixel_cannot_be_planned_for(folder):
    for stem in "abc":
        write_image(folder.mask("train", stem), np.full((24, 32), 255, np.uint8))
    with pytest.raises(DatasetError, match="every pixel of the training masks is ign"):
        take_fingerprint(folder.root)


def test_a_damaged_image_is_named(folder):
    folder.image("train", "b").write_bytes(b"no image")
    with pytest.raises(DatasetError, match=r"b\.png"):
        take_fingerprint(folder.root)


def test_a_folder_without_a_train_split_is_told(folder):
    for part in ("images", "segmentation"):
        (folder.root / f"train_{part}").rename(folder.root / f"test_{part}")
    with pytest.raises(DatasetError, match="no split `train`"):
        take_fingerprint(folder.root)
