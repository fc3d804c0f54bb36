"""Names, arguments and defaults are those that keras_segmentation's users know.

keras_segmentation.json holds them: facts of that library, none of its code.
"""

import inspect
import json
from importlib import import_module
from pathlib import Path

import pytest
import typer.main

from seglib.catalogue import resolve
from seglib.compat.keras_segmentation.__main__ import app
from seglib.compat.keras_segmentation.data_utils.data_loader import class_colors
from seglib.compat.keras_segmentation.models.all_models import model_from_name
from seglib.compat.keras_segmentation.models.constructors import first_weights
from seglib.compat.keras_segmentation.models.model import KerasSegmentationModel

ROOM = "seglib.compat.keras_segmentation"
KNOWN = json.loads(Path(__file__).with_name("keras_segmentation.json").read_text())
METHODS = {
    "train": "train.train",
    "predict_segmentation": "predict.predict",
    "predict_multiple": "predict.predict_multiple",
    "evaluate_segmentation": "predict.evaluate",
}


def _arguments(function):
    """Names and defaults, without what can be given by keyword alone."""
    return {
        name: "(required)" if one.default is one.empty else one.default
        for name, one in inspect.signature(function).parameters.items()
        if one.kind is one.POSITIONAL_OR_KEYWORD
    }


def _expected(name, *, method):
    """Of a function, or a method; where ours stands for a value of theirs, ours."""
    given = dict(KNOWN["functions"][name])
    first, default = next(iter(given.items()), ("", None))
    if first == "model":
        del given["model"]
        given = {"self": "(required)" if method else default, **given}
    stands = {"class_colors": class_colors, "vanilla_encoder": None}
    return {
        key: stands.get(value, value) if isinstance(value, str) else value
        for key, value in given.items()
    }


@pytest.mark.parametrize("name", KNOWN["functions"])
def test_every_function_has_the_arguments_and_defaults_that_it_had(name):
    module, _, function = name.rpartition(".")
    ours = _arguments(getattr(import_module(f"{ROOM}.{module}"), function))
    theirs = _expected(name, method=False)
    if "model" in ours or "self" in ours:  # which one may leave out of all but `train`
        ours = {"self": theirs["self"], **{k: ours[k] for k in list(ours)[1:]}}
    assert list(ours.items()) == list(theirs.items())


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_the_arguments_and_defaults_of_its_function(name):
    ours = _arguments(getattr(KerasSegmentationModel, name))
    assert list(ours.items()) == list(_expected(METHODS[name], method=True).items())


def test_the_22_models_are_there_by_name():
    known = {
        name.rpartition(".")[2]
        for name, arguments in KNOWN["functions"].items()
        if "n_classes" in arguments and name.startswith("models.")
    }
    assert set(model_from_name) == known
    assert len(known) == 22
    for name, build in model_from_name.items():
        assert build.__name__ == name
        resolve(name, None)  # raises where there is no such architecture


def test_the_encoders_that_had_weights_of_imagenet_have_them():
    having = {name for name in model_from_name if first_weights(name)}
    kinds = ("vgg", "resnet50", "mobilenet")
    assert having == {name for name in model_from_name if any(k in name for k in kinds)}


def test_every_command_has_the_options_that_it_had():
    commands = typer.main.get_command(app).commands
    assert set(commands) == set(KNOWN["commands"])
    for name, options in KNOWN["commands"].items():
        ours = {opt for one in commands[name].params for opt in one.opts}
        assert ours >= set(options)
