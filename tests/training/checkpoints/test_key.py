import shutil
from dataclasses import replace

import pytest

from seglib.config import AugmentConfig, TrainConfig
from seglib.data.dataset import with_splits
from seglib.data.verification.loading import load_dataset
from seglib.errors import SegError
from seglib.models import build_custom, build_model
from seglib.steps.augment import augment
from seglib.training.checkpoints.key import content_key
from seglib.training.distillation import Distillation

CONFIG = TrainConfig(epochs=3)


@pytest.fixture(scope="module")
def model():
    return build_model("compact_small", num_classes=8, image_size=(32, 48))


@pytest.fixture(scope="module")
def key(model, tiny_dataset):
    return content_key(model, tiny_dataset, config=CONFIG)


def test_the_same_training_has_the_same_key(model, tiny_dataset, tiny_root, key):
    assert len(key) == 64
    again = load_dataset(tiny_root)
    assert content_key(model, again, config=replace(CONFIG)) == key


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 4},
        {"train_seed": 1},
        {"max_minutes": 1.0},
        {"precision": "float32"},
        {"xla": "never"},
    ],
)
def test_another_setting_is_another_training(model, tiny_dataset, key, change):
    other = content_key(model, tiny_dataset, config=replace(CONFIG, **change))
    assert other != key


def test_other_first_weights_are_another_training(tiny_dataset, key):
    import keras

    keras.utils.set_random_seed(1)
    other = build_model("compact_small", num_classes=8, image_size=(32, 48))
    assert content_key(other, tiny_dataset, config=CONFIG) != key


def test_another_contract_is_another_training(model, tiny_dataset, key):
    contract = model.contract
    try:
        model.contract = replace(contract, ignore_index=7)
        assert content_key(model, tiny_dataset, config=CONFIG) != key
    finally:
        model.contract = contract


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_one_byte_of_what_is_learnt_or_validated_makes_another_training(
    model, tiny_root, tmp_path, key, split
):
    shutil.copytree(tiny_root, tmp_path / "data")
    assert content_key(model, load_dataset(tmp_path / "data"), config=CONFIG) == key
    mask = sorted((tmp_path / "data" / f"{split}_segmentation").iterdir())[0]
    mask.write_bytes(mask.read_bytes() + b"\0")
    other = content_key(model, load_dataset(tmp_path / "data"), config=CONFIG)
    assert (other == key) is (split == "test"), "test is not looked at"
    mask.unlink()
    if split != "test":
        dataset = replace(load_dataset(tiny_root), splits={split: ()})
        pairs = [replace(p, mask=mask) for p in load_dataset(tiny_root).pairs(split)]
        with pytest.raises(SegError, match="cannot be read"):
            content_key(
                model, replace(dataset, splits={split: tuple(pairs)}), config=CONFIG
            )


def test_a_pinned_dataset_is_known_by_its_hash(model, tiny_dataset):
    pinned = [replace(tiny_dataset, data_md5=f"{digit * 32}.dir") for digit in "ab"]
    keys = [content_key(model, data, config=CONFIG) for data in pinned]
    without_val = with_splits(pinned[0], {"train": pinned[0].splits["train"]})
    keys.append(content_key(model, without_val, config=CONFIG))
    assert len(set(keys)) == 3


def test_the_same_shards_made_again_are_the_same_training(
    model, tiny_dataset, tmp_path
):
    keys = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        config = AugmentConfig(policy="geometric", augment_seed=seed, num_shards=2)
        augment(tiny_dataset, tmp_path / name, config=config)
        shards = tmp_path / name
        keys.append(content_key(model, tiny_dataset, config=CONFIG, shards=shards))
    assert keys[0] == keys[1] != keys[2]


def test_a_policy_is_known_by_its_content_and_a_function_by_its_code(
    model, tiny_dataset, tmp_path, key
):
    def own(image, mask, rng):
        return image[:, ::-1], mask[:, ::-1]

    file = tmp_path / "my.yaml"
    keys = [content_key(model, tiny_dataset, config=CONFIG, policy=own)]
    for text in ("- hflip:", "- vflip:"):
        file.write_text(text)
        config = replace(CONFIG, train_policy=str(file))
        keys.append(content_key(model, tiny_dataset, config=config))
    assert len({key, *keys}) == 4


def test_a_teacher_is_part_of_the_training(model, tiny_dataset, key):
    taught = Distillation(teacher=model)
    keys = [
        content_key(model, tiny_dataset, config=CONFIG, distillation=distillation)
        for distillation in (taught, replace(taught, temperature=3.0))
    ]
    assert len({key, *keys}) == 3


def test_ones_own_layers_count_and_their_numbers_do_not(tiny_dataset):
    import keras

    def build(activation):
        keras.utils.set_random_seed(0)
        image = keras.Input((None, None, 3))
        x = keras.layers.Conv2D(4, 3, padding="same", activation=activation)(image)
        logits = keras.layers.Conv2D(8, 1)(x)
        return build_custom(image, logits, image_size=(32, 48))

    first, second, other = (
        content_key(build(activation), tiny_dataset, config=CONFIG)
        for activation in ("relu", "relu", "gelu")
    )
    assert first == second != other
