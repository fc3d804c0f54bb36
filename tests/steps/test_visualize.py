from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seglib.data.image_io import read_image, write_image
from seglib.data.verification.verifier import verify
from seglib.errors import DatasetError, SegError, UsageError
from seglib.steps.visualize import visualize


@pytest.fixture
def dataset(folder):
    return verify(folder.root).dataset


def test_the_contact_sheet_shows_pairs_and_a_page_stands_beside_it(dataset, tmp_path):
    path = visualize(dataset, tmp_path / "look")
    assert path == tmp_path / "look" / "contact_sheet.png"
    sheet = read_image(path)
    # Panels of 32 pixels are enlarged five times, to 120×160; two pairs in a row of
    # 2·(160 + 4 + 160) + 14 between + 2·14 around; rows: 2·(120 + 24 of text), 14
    # between each, a legend of 104.
    assert sheet.shape == (2 * 144 + 104 + 4 * 14, 2 * 324 + 14 + 2 * 14, 3)
    html = (tmp_path / "look" / "index.html").read_text()
    assert html.count("<img") == 3
    assert "3 of 3 pairs" in html


def test_pairs_are_spread_over_the_split(dataset, tmp_path):
    visualize(dataset, tmp_path, split="train", count=2)
    html = (tmp_path / "index.html").read_text()
    assert [f"<span>{stem}</span>" in html for stem in "abc"] == [True, False, True]


def test_the_mask_lies_over_its_image(folder, dataset, tmp_path):
    write_image(folder.image("val", "d"), np.zeros((24, 32, 3), np.uint8))
    sheet = read_image(visualize(dataset, tmp_path, split="val", count=1))
    left = 14 + 160 + 4  # margin, image, gap
    sky = sheet[14 + 24 + 5, left + 5]
    # 60 % of the colour over black.
    assert sky.tolist() == [round(0.6 * part) for part in dataset.palette[0]]


def test_an_unknown_split_and_a_senseless_count_are_refused(dataset, tmp_path: Path):
    with pytest.raises(DatasetError, match="no split `test`"):
        visualize(dataset, tmp_path, split="test")
    with pytest.raises(UsageError, match=r"`count` must be ≥ 1. Received: count=0"):
        visualize(dataset, tmp_path, count=0)


def test_a_mask_that_does_not_fit_is_named(folder, dataset, tmp_path):
    write_image(folder.mask("train", "a"), folder.ids()[:10])
    with pytest.raises(
        SegError, match=r"a.png: the mask is 10×32 pixels, its image 24×32"
    ):
        visualize(dataset, tmp_path)


def test_any_name_of_a_class_can_be_shown(dataset, tmp_path):
    names = ("a\nb\x1b[2J", "$x_{", "[/k] <b>")[: dataset.num_classes]
    shown = (*names, *dataset.class_names[len(names) :])
    visualize(replace(dataset, class_names=shown), tmp_path)
    assert "$x_{" in (tmp_path / "index.html").read_text()
