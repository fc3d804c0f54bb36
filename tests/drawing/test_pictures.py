import numpy as np
import pytest

from seglib.data.dataset import default_palette
from seglib.drawing.layout import panel_size, resize_ids
from seglib.drawing.palette import class_color
from seglib.drawing.pictures import (
    IGNORED,
    NO_CLASS,
    colorize,
    comparison,
    error_map,
    legend,
    overlay,
)
from seglib.errors import UsageError

PALETTE = ((200, 0, 0), (0, 100, 0), (0, 0, 50))


def test_each_pixel_gets_its_class_colour():
    mask = np.array([[0, 1], [2, 0]], np.uint8)
    expected = [[PALETTE[0], PALETTE[1]], [PALETTE[2], PALETTE[0]]]
    assert colorize(mask, PALETTE).tolist() == np.array(expected).tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_ignored_pixels_are_grey_and_ids_that_are_no_class_magenta_or_black(dtype):
    mask = np.array([[1, 255, 3, 1]], dtype)
    painted = colorize(mask, PALETTE, ignore_index=255)[0].astype(int)
    assert painted[0].tolist() == painted[3].tolist() == [0, 100, 0]
    assert np.ptp(painted[1]) <= 6
    assert painted[2].tolist() in ([0, 0, 0], [255, 0, 255])


def test_an_ignored_id_below_the_number_of_classes_is_grey_too():
    mask = np.zeros((1, 1), np.uint8)
    assert np.ptp(colorize(mask, PALETTE, ignore_index=0).astype(int)) <= 6


def test_an_overlay_mixes_by_alpha():
    image = np.full((1, 3, 3), 100, np.uint8)
    mask = np.array([[0, 1, 2]], np.uint8)
    # 0.75 · 100 + 0.25 · colour
    expected = [[125, 75, 75], [75, 100, 75], [75, 75, 88]]
    mixed = overlay(image, mask, PALETTE, alpha=0.25)
    assert np.abs(mixed[0].astype(int) - expected).max() <= 1


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_overlays_take_grey_rgb_and_rgba(channels):
    image = np.full((4, 5, channels), 80, np.uint8)
    mixed = overlay(image, np.zeros((4, 5), np.uint8), PALETTE, alpha=0)
    assert (mixed == 80).all()
    assert mixed.shape == (4, 5, 3)


def test_arrays_that_do_not_fit_are_refused():
    image, mask = np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5), np.uint8)
    with pytest.raises(UsageError, match=r"`mask` must be .* shape \(4, 5\), float64"):
        colorize(mask.astype(float))
    for wrong in (image[:3], image / 255):
        with pytest.raises(UsageError, match=r"`image` must be an array uint8"):
            overlay(wrong, mask)


def test_without_a_palette_a_class_has_the_colour_of_its_id():
    mask = np.array([[700]])
    assert colorize(mask).tolist() == [[[*class_color(700)]]]


def test_errors_have_the_colour_of_the_truth():
    image = np.full((1, 4, 3), 100, np.uint8)
    mask = np.array([[0, 1, 2, 255]], np.uint8)
    prediction = np.array([[0, 2, 0, 1]], np.uint8)
    shown = error_map(image, mask, prediction, PALETTE, ignore_index=255)[0]
    assert shown[0].tolist() == [30, 30, 30]  # right: 30 % of the grey image
    assert shown[1].tolist() == [0, 100, 0]  # a road taken for a car
    assert shown[2].tolist() == [0, 0, 50]
    assert np.ptp(shown[3].astype(int)) <= 6  # ignored


def test_a_comparison_has_four_panels_under_labels():
    image = np.zeros((120, 200, 3), np.uint8)
    mask = np.zeros((120, 200), np.uint8)
    picture = comparison(image, mask, mask + 1, PALETTE, ignore_index=255)
    # Text of 11 pixels in strips of 21; gaps of 4 between panels of 200.
    assert picture.shape == (21 + 120, 4 * 200 + 3 * 4, 3)
    middles = [picture[80, 100 + 204 * panel].tolist() for panel in range(4)]
    assert middles == [[0, 0, 0], [200, 0, 0], [0, 100, 0], [200, 0, 0]]


def test_small_pictures_are_enlarged_by_whole_pixels_and_large_ones_reduced():
    assert panel_size((24, 32)) == (120, 160)
    assert panel_size((360, 480)) == (360, 480)
    assert panel_size((1024, 2048)) == (320, 640)
    big = np.arange(4, dtype=np.uint16).reshape(2, 2) * 100
    assert set(np.unique(resize_ids(big, (7, 9)))) == {0, 100, 200, 300}


def test_the_legend_shows_each_colour_and_fits_a_width():
    hatched = (*PALETTE, IGNORED, NO_CLASS)
    shown = legend(("sky", "road", "车 <b>", "ignored", "no class: 7"), hatched)
    colours = set(map(tuple, shown.reshape(-1, 3).tolist()))
    assert {*PALETTE, (104, 106, 110), (255, 0, 255)} <= colours
    names = tuple(f"class {index}" for index in range(40))
    for width in (300, 700, 1200):
        wide = legend(names, default_palette(40), width=width)
        assert width / 2 < wide.shape[1] <= width
    assert legend(names, default_palette(40), width=10).shape[0] == 40 * 26
