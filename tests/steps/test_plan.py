"""When a plan is refused; one that is made: tests/pipeline/local/test_planned.py."""

import pytest

from seglib.errors import UsageError
from seglib.steps.plan import plan


def test_a_file_that_is_there_is_left_alone(tiny_root, tmp_path):
    out = tmp_path / "config.yaml"
    out.write_text("train: {epochs: 3}\n")
    with pytest.raises(UsageError, match=r"config\.yaml: is there already.*overwrite"):
        plan(tiny_root, out)
    assert out.read_text() == "train: {epochs: 3}\n"


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("inf"), float("nan")])
def test_the_minutes_are_a_number_above_zero(tiny_root, minutes):
    with pytest.raises(UsageError, match="`minutes` must be a number > 0"):
        plan(tiny_root, minutes=minutes)
