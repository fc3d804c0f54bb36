"""The plan of a run without a configuration: made once, by `seglib plan`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.dag.inputs import find_data
from pipeline.local.planned import plan_file
from seglib.config import Config, DataConfig
from seglib.data.image_io import write_image
from seglib.data.verification.loading import load_dataset
from seglib.errors import DatasetError, SegError
from seglib.models import build_from_config
from seglib.steps.train import train


@pytest.fixture(scope="module")
def plan(tiny_root, tmp_path_factory) -> Callable[..., Path]:
    runs = tmp_path_factory.mktemp("runs")
    config = Config(data=DataConfig(ignore_index=255))

    def make(say, *, data=tiny_root) -> Path:
        return plan_file(
            find_data(data), config, minutes=60, runs=runs, anew=False, say=say
        )

    make(print)
    return make


def test_a_second_run_on_the_same_data_takes_the_plan_of_the_first(plan):
    told: list[str] = []
    made = plan(told.append)
    assert told == [f"plan         {made}, made before (--no-cache plans anew)"]
    assert list(made.parent.iterdir()) == [made]


def test_a_plan_is_a_configuration_that_trains(plan, tiny_root):
    config = Config.load(plan(print))
    dataset = load_dataset(tiny_root)
    model = build_from_config(config.model, dataset)
    one_epoch = replace(config.train, epochs=1, steps_per_epoch=1)
    (row,) = train(model, dataset, config=one_epoch)
    assert row["loss"] > 0


def test_a_plan_says_what_was_found_and_why_each_line_is_so(plan):
    text = plan(print).read_text(encoding="utf-8")
    assert "#   train images        8\n" in text
    assert "#   height×width        96×128 (all)\n" in text
    assert "  encoder: efficientnet_lite0  # CamVid 0.706 with its weights" in text
    assert "  ignore_index: 255  # given to the plan" in text
    assert "# should steps take longer than measured" in text


def test_data_that_cannot_be_planned_for_leave_no_plan(plan, folder):
    for stem in "abc":
        write_image(folder.mask("train", stem), np.full((24, 32), 255, np.uint8))
    with pytest.raises(SegError, match=r"no plan could be made.*--config"):
        plan(pytest.fail, data=folder.root)
    assert len(list(plan(print).parent.iterdir())) == 1


def test_data_without_a_split_to_score_on_are_told_before_the_plan(plan, folder):
    for part in ("images", "segmentation"):
        (folder.root / f"val_{part}").rename(folder.root / f"unused_{part}")
    with pytest.raises(DatasetError, match="no val split"):
        plan(pytest.fail, data=folder.root)
