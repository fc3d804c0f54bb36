import dataclasses
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from seglib.config import Config, TrainConfig
from seglib.errors import UsageError


@pytest.fixture
def load(tmp_path: Path):
    def load(text: str) -> Config:
        path = tmp_path / "config.yaml"
        path.write_text(text, encoding="utf-8")
        return Config.load(path)

    return load


def test_no_file_and_an_empty_file_give_the_defaults(load):
    assert Config.load(None) == load("") == load("train:\n") == Config()


def test_a_file_states_only_what_differs(load):
    config = load("train:\n  epochs: 3\nmodel: {architecture: unet}\n")
    assert config.train == TrainConfig(epochs=3)
    assert config.model.architecture == "unet"
    assert config.evaluate == Config().evaluate


def test_field_names_are_unique_across_the_sections():
    names = [
        setting.name
        for section in dataclasses.fields(Config)
        for setting in dataclasses.fields(section.default_factory)
    ]
    assert len(names) == len(set(names))


def test_every_setting_has_a_description():
    assert Config.described().keys() == Config().flat().keys()
    assert all(Config.described().values())


def test_the_json_schema_accepts_the_shipped_files_and_names_a_mistake(repository):
    validator = Draft202012Validator(Config.json_schema())
    for name in ("sample", "camvid-cpu", "camvid-scratch"):
        tree = yaml.safe_load((repository / f"configs/{name}.yaml").read_text("utf-8"))
        validator.validate(tree)
    errors = validator.iter_errors({"train": {"epochs": 0, "flip": 1}})
    assert sorted(error.json_path for error in errors) == [
        "$.train.epochs",
        "$.train.flip",
    ]


def test_a_mistake_in_python_is_a_usage_error():
    with pytest.raises(UsageError, match="`epochs` must be ≥ 1. Received: 0"):
        TrainConfig(epochs=0)
    with pytest.raises(UsageError, match=r"key: `epoch`. Did you mean `epochs`\?"):
        dataclasses.replace(TrainConfig(), epoch=1)


@given(st.integers(1, 999), st.floats(1e-6, 1.0), st.booleans())
def test_any_values_survive_the_way_through_flat(epochs, rate, flip):
    train = TrainConfig(epochs=epochs, learning_rate=rate, flip=flip)
    assert Config.from_flat(Config(train=train).flat()).train == train


def test_pipeline_numbers_that_became_floats_are_integers_again():
    assert Config.from_flat({"epochs": 7.0}).train.epochs == 7


def test_numbers_of_numpy_are_good_numbers():
    config = TrainConfig(epochs=np.int64(3), learning_rate=np.float32(0.5))
    assert (config.epochs, config.learning_rate) == (3, 0.5)
    assert type(config.epochs) is int


def test_integers_and_scientific_notation_are_good_floats(load):
    # YAML 1.1 reads 1e-3, unlike 1.0e-3, as text.
    config = load("train: {learning_rate: 1e-3, weight_decay: 0}")
    assert config.train.learning_rate == 0.001
    assert config.train.weight_decay == 0.0


def test_names_may_be_given_as_a_list(load):
    assert load("data: {class_names: [sky, road]}").data.class_names == "sky,road"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trian: {}", r"Unknown key: `trian`. Did you mean `train`\?"),
        ("train: {epoch: 1}", r"key in `train`: `epoch`. Did you mean `epochs`\?"),
        ("train: {epochs: many}", r"`train.epochs` must be of type int.*'many'"),
        ("train: {epochs: true}", r"`train.epochs` must be of type int.*True"),
        ("train: {epochs: 1.5}", r"`train.epochs` must be of type int.*1.5"),
        ("train: {learning_rate: fast}", r"must be of type float.*'fast'"),
        ("train: {flip: 1}", r"`train.flip` must be of type bool"),
        ("export: {publish_to: 'gs://b/x'}", r"`publish_to`: Unknown scheme `gs://`"),
        ("export: {publish_to: 's3://'}", r"`publish_to`: .* names no bucket"),
        ("export: {publish_to: 's3://b?x=1'}", r"`publish_to`: Unknown setting"),
        ("export: {publish_name: 'a b'}", r"`publish_name`: .*Received: name='a b'"),
        ("export: {publish_name: ''}", r"`publish_name`: `name` must be of letters"),
        (
            "train: {accumulate: 3}",
            r"`accumulate` must be one of 1, 2, 4, 8, which div",
        ),
        ("train: {best_by: iou}", r"Unknown `best_by`: `iou`. Did you mean `miou`\?"),
        ("train: {best_by: class_iou}", r"Did you mean `class_iou/NAME`\?"),
        ("train: {best_by: miou/car}", r"Unknown `best_by`: `miou/car`"),
        ("train: 3", r"`train` must be a section. Received: 3"),
        ("- train", r"a section with keys such as `data:`"),
        ("train: [", r"not valid YAML"),
        ("train: {epochs: 0}", r"`train.epochs` must be ≥ 1. Received: 0"),
        ("train: {train_seed: -1}", r"`train.train_seed` must be ≥ 0.*Received: -1"),
        ("train: {learning_rate: 0}", r"`train.learning_rate` must be > 0"),
        ("train: {weight_decay: -1}", r"`train.weight_decay` must be ≥ 0"),
        ("train: {warmup_steps: -1}", r"`train.warmup_steps` must be ≥ 0"),
        (
            "train: {class_weight_power: 2}",
            r"`train.class_weight_power` must be ≥ 0 and ≤ 1",
        ),
        ("train: {color_jitter: 1}", r"`train.color_jitter` must be ≥ 0 and < 1"),
        ("train: {crop_height: 8}", r"`crop_height` must be 0 or ≥ 16"),
        ("train: {min_scale: 2}", r"`min_scale` must be > 0 and ≤ max_scale"),
        ("train: {precision: float46}", r"precision: `float46`. Did you mean"),
        ("data: {num_classes: -1}", r"`data.num_classes` must be ≥ 0 and ≤ 1024"),
        (
            "data: {num_classes: 100000000}",
            r"`data.num_classes` must be ≥ 0 and ≤ 1024",
        ),
        (
            "data: {ignore_index: 70000}",
            r"`data.ignore_index` must be ≥ -1 and ≤ 65535",
        ),
        ("augment: {copies: -1}", r"`augment.copies` must be ≥ 0"),
        ("augment: {num_shards: 0}", r"`augment.num_shards` must be ≥ 1"),
        ("model: {channels: 2}", r"`channels` must be 1, 3 or 4"),
        ("model: {image_height: 8}", r"`image_height` must be 0 or ≥ 16"),
        ("model: {image_height: 64}", r"`image_height` and `image_width` go together"),
        ("evaluate: {split: tset}", r"split: `tset`. Did you mean `test`\?"),
        ("evaluate: {num_overlays: -1}", r"`evaluate.num_overlays` must be ≥ 0"),
        ("gate: {min_miou: 1.5}", r"`gate.min_miou` must be ≥ 0 and ≤ 1"),
        (
            "export: {max_logit_difference: 0}",
            r"`export.max_logit_difference` must be > 0",
        ),
        (
            "export: {min_equal_pixels: 0}",
            r"`export.min_equal_pixels` must be > 0 and ≤ 1",
        ),
    ],
)
def test_a_mistake_names_file_and_key(load, text, message):
    with pytest.raises(UsageError, match=rf"config.yaml: .*{message}"):
        load(text)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), "1e999"])
def test_no_setting_is_a_number_that_json_does_not_have(value):
    numbers = [
        name for name, default in Config().flat().items() if default.__class__ is float
    ]
    assert len(numbers) > 10
    for name in numbers:
        with pytest.raises(UsageError, match=f"{name}` must be a finite number"):
            Config.from_flat({name: value})


def test_an_unknown_flat_key_names_the_nearest():
    with pytest.raises(UsageError, match=r"`epoch`. Did you mean `epochs`\?"):
        Config.from_flat({"epoch": 1})


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"none.yaml: cannot be read \(No such file"):
        Config.load(tmp_path / "none.yaml")
