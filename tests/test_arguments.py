"""Arguments of the public functions: paths in place of objects, and wrong types."""

import inspect
import typing
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import seglib
from seglib.arguments import checked

FUNCTIONS = sorted(
    name for name in seglib.__all__ if inspect.isfunction(getattr(seglib, name))
)
TYPED = [
    (function, parameter)
    for function in FUNCTIONS
    for parameter in inspect.signature(getattr(seglib, function)).parameters.values()
    if parameter.annotation is not typing.Any
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The folder of a network that has learnt nothing, with dropout."""
    image = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Dropout(0.5)(keras.layers.Conv2D(8, 3, padding="same")(x))
    built = seglib.build_custom(image, keras.layers.Conv2D(8, 1)(x), ignore_index=255)
    return built.save(tmp_path_factory.mktemp("models") / "model")


@pytest.mark.parametrize(
    ("function", "parameter"), TYPED, ids=[f"{f}-{p.name}" for f, p in TYPED]
)
def test_an_argument_of_a_wrong_type_is_told_in_a_sentence(function, parameter):
    call = getattr(seglib, function)
    expected = rf"^`{parameter.name}` must be .+\. Received: type object\."
    with pytest.raises(seglib.UsageError, match=expected):
        call(**{parameter.name: object()})


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (
            lambda data: seglib.evaluate(data, "model"),
            (
                "`model` must be a `SegmentationModel` or a path. Received: type "
                "Dataset. `seglib.load_model(folder)` opens a model's folder, and "
                "`seglib.build_model` makes a new one."
            ),
        ),
        (
            lambda data: seglib.train("model", data, config="train.yaml"),
            (
                "`config` must be a `TrainConfig` or None. Received: 'train.yaml' "
                "(type str). `seglib.TrainConfig(…)` makes one; "
                "`seglib.Config.load(file).train` reads one."
            ),
        ),
        (
            lambda data: seglib.train("model", data, config=seglib.Config()),
            (
                "`config` must be a `TrainConfig` or None. Received: type Config. "
                "`seglib.TrainConfig(…)` makes one; "
                "`seglib.Config.load(file).train` reads one."
            ),
        ),
        (
            seglib.verify,
            "`root` must be a path. Received: type Dataset. Of a Dataset: `.root`.",
        ),
        (
            lambda _: seglib.build_model("unet", num_classes="3", image_size=64),
            "`num_classes` must be an integer. Received: '3' (type str).",
        ),
        (
            lambda _: seglib.build_model("unet", num_classes=3, image_size=64),
            "`image_size` must be (an integer, an integer). Received: 64 (type int).",
        ),
        (
            lambda data: seglib.load_dataset(data.root, splits="train"),
            "`splits` must be a list of text. Received: 'train' (type str).",
        ),
        (
            lambda data: seglib.evaluate("model", data, progress="yes"),
            (
                "`progress` must be a function, True or False or None. Received: 'yes' "
                "(type str)."
            ),
        ),
        (
            lambda data: seglib.Predictor([data]),
            (
                "`models` must be a `SegmentationModel` or an `ExportedModel`, the "
                "folder of a model, or several of them. Received: type Dataset."
            ),
        ),
        (
            lambda _: seglib.Distillation(teacher=3),
            (
                "`model` must be a `SegmentationModel` or a path. Received: 3 (type "
                "int). `seglib.load_model(folder)` opens a model's folder, and "
                "`seglib.build_model` makes a new one."
            ),
        ),
    ],
)
def test_the_sentence_names_the_way_out(tiny_dataset, call, told):
    with pytest.raises(seglib.UsageError) as caught:
        call(tiny_dataset)
    assert str(caught.value) == told


IMAGE, MASK = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8)


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("class_color", ("red",), "`class_id` must be an integer"),
        ("colorize", ("mask.png",), "`mask` must be an array"),
        ("overlay", ("image.png", MASK), "`image` must be an array uint8"),
        ("overlay", (IMAGE / 255, MASK), "`image` must be an array uint8"),
        ("overlay", (IMAGE, MASK[:2]), "`image` must be an array uint8 of the mask's"),
        ("error_map", (IMAGE, MASK, MASK[:2]), "`prediction` must be of the mask's"),
        ("comparison", (IMAGE, MASK, None), "`prediction` must be an array"),
        ("image_and_overlay", (None, MASK), "`image` must be an array uint8"),
        ("legend", ("sky",), "`names` must be a list of text"),
        ("legend", (["sky", "road"], [(0, 0, 0)]), "2, 1 colours"),
        ("contact_sheet", ([IMAGE],), r"`tiles` must be a list of \(text, a `ndarr"),
        ("contact_sheet", ([],), "`tiles` must be one or more"),
        ("contact_sheet", ([("a", MASK)],), "`tiles` must be pairs of a caption and"),
        ("plot_curves", ("history.csv",), "`history` must be a list of a mapping"),
        ("plot_confusion", (MASK,), r"`confusion` must be an array .* \(4, 6\)"),
    ],
)
def test_what_cannot_be_drawn_is_told_in_a_sentence(name, arguments, told):
    with pytest.raises(seglib.UsageError, match=told):
        getattr(seglib.drawing, name)(*arguments)


def test_what_is_meant_alike_passes():
    @checked
    def take(
        size: tuple[int, int], share: float, names: tuple[str, ...], where: Path
    ) -> tuple[object, ...]:
        return size, share, names, where

    assert take([1, np.int64(2)], 1, ["a", "b"], where=Path())[1] == 1
    for wrong in ({"size": (1, 2, 3)}, {"size": (1, 2.0)}, {"share": True}):
        with pytest.raises(seglib.UsageError, match=f"`{next(iter(wrong))}` must be"):
            take(**wrong)
    with pytest.raises(TypeError, match="missing 3 required"):
        take((1, 2))


WITH_PATHS = {
    "evaluate": lambda on: seglib.evaluate(on.model, on.data),
    "export": lambda on: seglib.export(on.model, on.out, data=on.data),
    "predict": lambda on: seglib.predict(on.model, Path(on.data, "val_images"), on.out),
    "predict_uncertainty": lambda on: seglib.predict_uncertainty(
        on.model, next(Path(on.data, "val_images").iterdir()), samples=2
    ),
    "Predictor": lambda on: seglib.Predictor([on.model, on.model]),
    "Distillation": lambda on: seglib.Distillation(teacher=on.model),
    "transfer_weights": lambda on: seglib.transfer_weights(
        on.model, seglib.load_model(on.model)
    ),
    "train": lambda on: seglib.train(
        on.model,
        on.data,
        config=seglib.TrainConfig(epochs=1, steps_per_epoch=1, batch_size=2),
        out=on.out,
    ),
    "augment": lambda on: seglib.augment(on.data, on.out),
    "visualize": lambda on: seglib.visualize(on.data, count=1),
    "verify": lambda on: seglib.verify(on.data),
    "load_dataset": lambda on: seglib.load_dataset(on.data),
    "load_model": lambda on: seglib.load_model(on.model),
}


@pytest.mark.parametrize("name", WITH_PATHS)
def test_a_path_is_taken_in_place_of_a_dataset_or_a_model(
    tiny_root, tmp_path, model, name
):
    given = SimpleNamespace(model=str(model), data=tiny_root, out=tmp_path / "out")
    assert WITH_PATHS[name](given)


def test_a_models_folder_is_trained_into_another_one(tiny_root, model):
    with pytest.raises(seglib.UsageError, match="would be lost. Give `out`, a folder"):
        seglib.train(model, tiny_root)
