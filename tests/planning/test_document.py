"""The file of a plan."""

import yaml

from seglib.planning.document import to_yaml
from seglib.planning.rules import Choice

CHOICES = (
    Choice("epochs", 5, "five: \n why"),
    Choice("image_height", 96, "the median size"),
    Choice("image_width", 128, ""),
    Choice("class_names", "sky,#road: no", "given"),
)


def test_settings_lie_in_their_sections_and_reasons_are_comments():
    text = to_yaml([("source", "seglib plan 'a\nb'")], [[("id", "sky\n- x")]], CHOICES)
    assert yaml.safe_load(text) == {
        "data": {"class_names": "sky,#road: no"},
        "model": {"image_height": 96, "image_width": 128},
        "train": {"epochs": 5},
    }
    assert text.startswith("# source:   seglib plan 'a\\nb'\n#\n#   id  sky\\n- x\n\n")
    assert "\n  image_height: 96  # the median size\n  image_width: 128\n" in text
    assert text.endswith("\ntrain:\n  epochs: 5  # five: \\n why\n")
