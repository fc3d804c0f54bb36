import cv2
import numpy as np
import pytest

from seglib.data.dataset import default_palette
from seglib.drawing import class_color
from tools.palette_search import VISIONS, lab, least_distances

# Reference: Viénot, Brettel and Mollon 1999, "Digital Video Colourmaps for Checking the
# Legibility of Displays by Dichromats"; of linear RGB.
_LMS = np.array(
    [
        [17.8824, 43.5161, 4.11935],
        [3.45565, 27.1554, 3.86714],
        [0.02996, 0.18431, 1.4671],
    ]
)
_DICHROMATS = {
    "protan": [[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]],
    "deutan": [[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]],
}


def test_the_first_twenty_colours_are_told_apart_by_every_kind_of_vision():
    found = least_distances(np.array(default_palette(20)))
    assert found["normal"] >= 32
    assert min(found.values()) >= 18


def test_a_hundred_and_fifty_colours_differ_for_every_kind_of_vision():
    found = least_distances(np.array(default_palette(150)))
    assert found["normal"] >= 8  # 2.3 is a just noticeable difference
    assert min(found.values()) >= 4.8


@pytest.mark.parametrize("vision", _DICHROMATS)
def test_another_simulation_of_missing_cones_agrees(vision):
    linear = _linear(np.array(default_palette(20)))
    seen = np.linalg.inv(_LMS) @ np.array(_DICHROMATS[vision]) @ _LMS @ linear.T
    colours = _lab(np.clip(seen.T, 0, 1))
    apart = np.linalg.norm(colours[:, None] - colours, axis=2)
    assert apart[np.triu_indices(20, 1)].min() >= 17


def test_colours_in_cielab_are_those_of_opencv():
    colours = np.array(default_palette(150))
    expected = _lab(_linear(colours))
    assert np.abs(lab(colours) - expected).max() < 0.3
    assert set(VISIONS) == {"normal", "protan", "deutan", "tritan"}


def test_a_class_keeps_its_colour_whatever_the_number_of_classes():
    assert default_palette(3) == default_palette(150)[:3]
    # Pinned: pictures of different versions show one class in one colour.
    assert [class_color(i) for i in range(3)] == [
        (157, 235, 216),
        (98, 0, 196),
        (206, 78, 10),
    ]


def test_no_two_of_the_largest_number_of_classes_share_a_colour():
    assert len(set(default_palette(1024))) == 1024


def _linear(colours: np.ndarray) -> np.ndarray:
    share = colours / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def _lab(linear: np.ndarray) -> np.ndarray:
    row = linear.astype(np.float32)[None]
    return cv2.cvtColor(row, cv2.COLOR_LRGB2Lab)[0]
