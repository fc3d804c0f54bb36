"""Checks of the arguments of public functions against their signatures.

A wrong type is told at the door, in a sentence, and not by a TypeError from the depth.
"""

import functools
import inspect
import numbers
import os
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from seglib.errors import UsageError

_P = ParamSpec("_P")
_R = TypeVar("_R")

_NUMBERS: Mapping[Any, Any] = {int: numbers.Integral, float: numbers.Real}
_WORDS: Mapping[Any, str] = {
    int: "an integer",
    float: "a number",
    bool: "True or False",
    str: "text",
    Path: "a path",
    type(None): "None",
}
_WAYS = {  # of the name of an expected class: how to get one
    "Dataset": "`seglib.load_dataset(folder)` opens a folder.",
    "SegmentationModel": "`seglib.load_model(folder)` opens a model's folder, and "
    "`seglib.build_model` makes a new one.",
    "ExportedModel": "`seglib.ExportedModel.open(folder, format)` opens an export.",
    "Config": "`seglib.Config.load(file)` reads one.",
}
_FOLDERS = {"Dataset": "root"}  # of the name of a received class: where its folder is


def checked(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Make a function raise a UsageError for arguments of other types than it states.

    Lists pass for tuples, NumPy's numbers for Python's, whole numbers for fractions. A
    parameter of type `Any`, or without a type, is not checked.
    """
    signature = inspect.signature(function)
    stated = dict(function.__annotations__)
    stated.pop("return", None)  # its type may be imported for type checkers alone

    @functools.cache
    def hints() -> dict[str, Any]:
        holder = types.SimpleNamespace(__annotations__=stated)
        # When it is called, so that all names of the module exist.
        return typing.get_type_hints(holder, vars(sys.modules[function.__module__]))

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            given = signature.bind_partial(*args, **kwargs).arguments
        except TypeError:  # unknown or too many, which Python says best
            given = {}
        for name, value in given.items():
            hint = hints().get(name, Any)
            if not _fits(value, hint):
                raise UsageError(_sentence(name, value, hint))
        return function(*args, **kwargs)

    return call


def _sentence(name: str, value: object, hint: Any) -> str:
    classes = [option.__name__ for option in _options(hint) if inspect.isclass(option)]
    ways = [_WAYS[each] for each in classes if each in _WAYS]
    ways += [_way_to_section(each) for each in classes if each.endswith("Config")]
    kind = type(value).__name__
    if kind in _FOLDERS and {"Path"} <= set(classes) <= {"Path", "str", "NoneType"}:
        ways.append(f"Of a {kind}: `.{_FOLDERS[kind]}`.")
    shown = repr(value) if isinstance(value, str | int | float | Path) else ""
    received = f"{shown[:80]} (type {kind})" if shown else f"type {kind}"
    told = f"`{name}` must be {_words(hint)}. Received: {received}."
    return " ".join([told, *filter(None, dict.fromkeys(ways))])


def _way_to_section(name: str) -> str:
    section = name.removesuffix("Config").lower()
    return section and (
        f"`seglib.{name}(…)` makes one; `seglib.Config.load(file).{section}` reads one."
    )


def _words(hint: Any) -> str:
    options = _options(hint)
    if {str, Path} <= set(options):
        options = [option for option in options if option is not str]
    named = list(dict.fromkeys(map(_word, options)))
    *first, last = named
    return f"{', '.join(first)} or {last}" if first else last


def _word(hint: Any) -> str:
    origin = typing.get_origin(hint)
    if origin is None:
        return _WORDS.get(hint) or f"a `{hint.__name__}`"
    if origin is typing.Literal:
        return " or ".join(map(repr, typing.get_args(hint)))
    if origin is Callable:
        return "a function"
    inner = [each for each in typing.get_args(hint) if each is not Ellipsis]
    if issubclass(origin, Mapping):
        return "a mapping"
    if origin is tuple and len(inner) == len(typing.get_args(hint)):
        return f"({', '.join(map(_words, inner))})"
    return f"a list of {_words(inner[0])}"


def _options(hint: Any) -> list[Any]:
    """The types of a union."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return _options(typing.get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        return [each for part in typing.get_args(hint) for each in _options(part)]
    return [hint]


def _fits(value: Any, hint: Any) -> bool:
    options = _options(hint)
    return any(_fits_one(value, option) for option in options)


def _fits_one(value: Any, hint: Any) -> bool:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is None:
        return _is_a(value, hint)
    if origin is typing.Literal:
        return value in parts
    if origin is Callable:
        return callable(value)
    if issubclass(origin, Mapping):
        return isinstance(value, Mapping) and _all_fit(value, parts[0])
    if origin is tuple:
        if not isinstance(value, tuple | list):
            return False
        if parts[-1] is Ellipsis:
            return _all_fit(value, parts[0])
        return len(value) == len(parts) and all(map(_fits, value, parts))
    # Text is a sequence of texts, but never meant as one.
    if origin in (Sequence, Collection, Iterable) and isinstance(value, str | bytes):
        return False
    if not isinstance(value, origin):
        return False
    # A `PathLike[str]` has a part, and nothing in it.
    return not (parts and isinstance(value, Iterable)) or _all_fit(value, parts[0])


def _all_fit(values: Iterable[Any], hint: Any) -> bool:
    return all(_fits(value, hint) for value in values)


def _is_a(value: Any, hint: Any) -> bool:
    if hint is Any or isinstance(hint, TypeVar) or getattr(hint, "_is_protocol", False):
        return True
    if hint in _NUMBERS:
        return isinstance(value, _NUMBERS[hint]) and not isinstance(value, bool)
    if hint is Path:
        return isinstance(value, os.PathLike)
    return isinstance(value, hint)
