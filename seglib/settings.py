"""Typed settings from YAML: for every file that a person writes.

A file is a tree of sections; a section is a frozen dataclass, whose fields say which
keys there may be, and of which type. What does not fit is named with its place and,
where a name is wrong, with the nearest right one.
"""

import inspect
import math
import re
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Any

from seglib.errors import UsageError, unknown
from seglib.storage.documents import read_yaml

_NUMBER = re.compile(r"[+-]?\d+e[+-]?\d+", re.IGNORECASE)  # YAML reads 1e-3 as text
_COMMENTED = re.compile(r"^    (\w+): .*  # (.+)$", re.MULTILINE)


def read_tree(path: Path) -> Any:
    """What a YAML file holds; an empty one holds an empty tree.

    Raises:
        UsageError: no such file, or not YAML.
    """
    return read_yaml(Path(path), error=UsageError) or {}


def build(section_type: Any, section: str, values: Any) -> Any:
    """A section from its part of the tree; what is left out keeps its default.

    Args:
        section_type: a dataclass, whose `__post_init__` checks the values.
        section: its place in the file, for messages.

    Raises:
        UsageError: not a section, an unknown key, or a value of the wrong type.
    """
    return section_type(**checked(section_type, section, values))


def checked(section_type: Any, section: str, values: Any) -> dict[str, Any]:
    """The values of a section, each of its field's type.

    Raises:
        UsageError: not a section, an unknown or missing key, or a value of the wrong
            type.
    """
    if not isinstance(values, dict):
        raise UsageError(f"`{section}` must be a section. Received: {values!r}.")
    types = {f.name: f.type for f in fields(section_type)}
    for key in values:
        if key not in types:
            raise unknown(f"key in `{section}`", str(key), types)
    needed = [f.name for f in fields(section_type) if _has_no_default(f)]
    if missing := [name for name in needed if name not in values]:
        raise UsageError(f"`{section}` lacks {', '.join(missing)}.")
    return {k: typed(v, types[k], f"{section}.{k}") for k, v in values.items()}


def typed(value: Any, expected: Any, name: str) -> Any:
    """A value as a field takes it.

    Accepts an int for a float, and a list for comma-separated text. A field may be a
    section itself, or several: `tuple[Section, ...]`, `tuple[str, ...]`; or a mapping
    of names to texts, `Mapping[str, str]`.

    Raises:
        UsageError: it is of another type.
    """
    if isinstance(expected, type) and is_dataclass(expected):
        values = checked(expected, name, value)
        with at(name):
            return expected(**values)
    container = typing.get_origin(expected)
    if container is tuple:
        inner = typing.get_args(expected)[0]
        items = enumerate(_of_type(value, list, name))
        return tuple(typed(item, inner, f"{name}[{i}]") for i, item in items)
    if container is Mapping:
        inner, pairs = typing.get_args(expected)[1], _of_type(value, dict, name).items()
        convert = _text if inner is str else partial(typed, expected=inner)
        return {
            _of_type(k, str, name): convert(v, name=f"{name}.{k}") for k, v in pairs
        }
    if container is UnionType:  # `X | None`
        inner = typing.get_args(expected)[0]
        return None if value is None else typed(value, inner, name)
    if expected is str and isinstance(value, list):
        return ",".join(str(item) for item in value)
    if expected is float:
        return _finite(value, name)
    if expected is int and isinstance(value, float) and value.is_integer():
        return int(value)
    return _of_type(value, expected, name)


def described(section_type: type) -> dict[str, str]:
    """The comment behind each field of a section, which says what it is.

    >>> from seglib.config import AugmentConfig
    >>> described(AugmentConfig)["num_shards"]
    'files; records are dealt round-robin'
    """
    return dict(_COMMENTED.findall(inspect.getsource(section_type)))


@contextmanager
def at(place: str) -> Iterator[None]:
    """Name the place in a UsageError that does not know it."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from error


def require(ok: bool, name: str, expected: str, value: Any) -> None:
    """Raise a UsageError that names a setting, what it must be, and what it is."""
    if not ok:
        raise UsageError(f"`{name}` must be {expected}. Received: {name}={value!r}.")


def _finite(value: Any, name: str) -> float:
    """JSON, in which parameters travel, has neither NaN nor infinity."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if is_number or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        value = float(value)
    number: float = _of_type(value, float, name)
    require(math.isfinite(number), name, "a finite number", number)
    return number


def _of_type(value: Any, expected: type, name: str) -> Any:
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        kind = "mapping" if expected is dict else expected.__name__
        raise UsageError(f"`{name}` must be of type {kind}. Received: {value!r}.")
    return value


def _has_no_default(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _text(value: Any, name: str) -> str:
    """YAML reads `yes` and `1` as something else, which Kubernetes refuses."""
    if isinstance(value, str):
        return value
    raise UsageError(
        f"`{name}` must be of type str. Received: {value!r}. "
        f'Put it in quotes: "{str(value).lower()}".'
    )
