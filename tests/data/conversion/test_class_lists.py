"""Lists of classes of every kind, and masks that are read by them."""

import json
from pathlib import Path

import numpy as np
import pytest

from seglib.data.conversion.class_lists import VOIDS, ClassList, read_class_list
from seglib.data.conversion.foreign import VOID
from seglib.data.conversion.masks import MaskReader
from seglib.data.image_io import encode_png
from seglib.errors import DatasetError, SegError

A, B = (64, 128, 64), (192, 0, 128)
MAPILLARY = {"labels": [{"name": "a", "color": A}, {"name": "b c", "color": [*B, 255]}]}


@pytest.mark.parametrize(
    ("name", "text", "colours"),
    [
        ("class_dict.csv", "name,r,g,b\na,64,128,64\nb c,192,0,128\n", (A, B)),
        ("class_dict.csv", "a,64,128,64\n\nb c,192,0,128", (A, B)),
        ("label_colors.txt", "64 128 64\ta\n192 0 128\t\tb c\n", (A, B)),
        ("labelmap.txt", "# label:color\na:64,128,64::\nb c:192,0,128::\n", (A, B)),
        ("config.json", json.dumps(MAPILLARY), (A, B)),
        ("id2label.json", '{"0": "a", "1": "b c"}', ()),
        ("names.json", '["a", "b c"]', ()),
        ("classes.txt", "\ufeffa\r\nb c\r\n", ()),
        ("objectInfo150.txt", "1\t0.2\t3\t4\ta\n2\t0.1\t1\t0\tb c\n", ()),
    ],
)
def test_a_list_of_each_kind_gives_names_and_colours(
    name: str, text: str, colours: tuple, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode())
    assert read_class_list(path, VOIDS) == ClassList(("a", "b c"), colours)


def test_a_class_of_void_has_no_id_and_those_behind_it_move_up(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("a\nVoid\nb")
    listed = read_class_list(path, VOIDS)
    assert (listed.class_names, listed.ids(VOID)) == (("a", "b"), [0, VOID, 1])
    mask = MaskReader(listed)(encode_png(np.array([[0, 1, 2, 255]], np.uint8)), name="")
    assert mask.tolist() == [[0, VOID, 1, VOID]]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no class in it"),
        ("a,1,2,3\nb,1,2\n", r"rows of name,r,g,b. Received: b,1,2"),
        ("a,1,2,3\nb\n", "`b` has no colour"),
    ],
)
def test_a_damaged_list_is_told(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "class_dict.csv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=told):
        read_class_list(path, VOIDS)


def test_grey_values_that_are_colours_of_the_list_are_taken_as_colours() -> None:
    black_white = ClassList(("no", "yes"), ((0, 0, 0), (255, 255, 255)))
    encoded = encode_png(np.array([[0, 255]], np.uint8))
    assert MaskReader(black_white)(encoded, name="").tolist() == [[0, 1]]


def test_0_and_255_of_two_classes_without_colours_are_not_guessed() -> None:
    encoded = encode_png(np.array([[0, 255]], np.uint8))
    two = ClassList(("no", "yes"))
    with pytest.raises(SegError, match="255 may be the second one"):
        MaskReader(two)(encoded, name="a.png")
    assert MaskReader(two, ignored=255)(encoded, name="").tolist() == [[0, VOID]]
