"""Typed sections of YAML files, as pydantic dataclasses whose errors are ours.

A section states its keys, their types, ranges, defaults and descriptions as fields.
Values are strict (no text for a number, no number for a flag), and a `UsageError` names
the key by its place in the file, what was expected, what was received, and for an
unknown key the nearest one.
"""

import dataclasses
import functools
import json
import numbers
import re
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar, dataclass_transform

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass

from seglib.errors import UsageError, unknown
from seglib.storage.documents import read_yaml

_T = TypeVar("_T")
_Place = tuple[int | str, ...]  # keys and indices from the root of the file
_SCIENTIFIC = re.compile(r"[+-]?\d+e[+-]?\d+", re.IGNORECASE)  # YAML 1.1's text
_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
_LIMITS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
_EXPECTED = {  # pydantic's kind of error: what was expected
    "finite_number": "a finite number",
    "int_type": "of type int",
    "float_type": "of type float",
    "bool_type": "of type bool",
    "string_type": "of type str",
    "tuple_type": "of type list",
    "dict_type": "of type mapping",
    "dataclass_type": "a section",
    "dataclass_exact_type": "a section",
    "string_too_long": "at most {max_length} characters",
}


def _whole(value: Any) -> Any:
    """An integer of NumPy, or one that travelled through JSON as a float."""
    is_other = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    is_whole = isinstance(value, float) and value.is_integer()
    return int(value) if is_other or is_whole else value


def _number(value: Any) -> Any:
    """A number such as 1e-3, which YAML 1.1 reads as text."""
    is_text = isinstance(value, str) and _SCIENTIFIC.fullmatch(value)
    return float(value) if is_text else value


# Last among a type's annotations, so that JSON schemas keep the limits before it.
WHOLE, NUMBER = BeforeValidator(_whole), BeforeValidator(_number)
Integer = Annotated[int, WHOLE]
Natural = Annotated[int, Field(ge=0), WHOLE]
Positive = Annotated[int, Field(ge=1), WHOLE]


def setting(default: Any, description: str) -> Any:
    """A field of a section with its default and its description."""
    return Field(default=default, description=description)


@dataclass_transform(
    kw_only_default=True,
    frozen_default=True,
    field_specifiers=(dataclasses.field, Field),
)
def section(cls: type[_T]) -> type[_T]:
    """Make a class a frozen, keyword-only pydantic dataclass that raises UsageError."""
    made = pydantic_dataclass(frozen=True, kw_only=True, config=_STRICT)(cls)
    validate: Callable[..., None] = made.__init__

    @functools.wraps(validate)
    def init(self: Any, **values: Any) -> None:
        try:
            validate(self, **values)
        except ValidationError as error:
            raise _usage_error(made, (), error) from None

    made.__init__ = init  # type: ignore[method-assign]
    return typing.cast("type[_T]", made)


def read_tree(path: Path) -> Any:
    """The tree that a YAML file holds; an empty file holds an empty tree.

    Raises:
        UsageError: no such file, or not YAML.
    """
    return read_yaml(Path(path), error=UsageError) or {}


def build(section_type: type[_T], place: str, tree: Any) -> _T:
    """Build a section from its part of a file; keys left out keep their defaults.

    Args:
        section_type: a class made by `section`.
        place: the section's place in the file, for messages; "" for the whole file.
        tree: mappings, lists and scalars, as YAML or JSON holds them.

    Raises:
        UsageError: not a section, an unknown or missing key, a value of the wrong type
            or out of its range.
    """
    try:
        # JSON's strict rules take a list for a tuple and a mapping for a section.
        text = json.dumps(tree, default=str)
        return TypeAdapter(section_type).validate_json(text)
    except TypeError:
        raise UsageError(f"`{place or 'file'}`: expected keys that are text.") from None
    except ValidationError as error:
        parts = (place,) if place else ()
        raise _usage_error(section_type, parts, error) from None


def descriptions(section_type: Any) -> dict[str, str]:
    """The description of each field of a section.

    >>> from seglib.config import AugmentConfig
    >>> descriptions(AugmentConfig)["num_shards"]
    'files of pairs, which are dealt round-robin'
    """
    fields = section_type.__pydantic_fields__
    return {name: field.description or "" for name, field in fields.items()}


class Facts(NamedTuple):
    """What the declaration of a field says of it.

    allowed: its limits or its choices; "": any value of its type.
    """

    description: str
    default: Any
    allowed: str


def facts(section_type: Any, name: str) -> Facts:
    """The description, default and limits of a field of a section.

    >>> from seglib.config import TrainConfig
    >>> facts(TrainConfig, "ema_decay").allowed
    '≥ 0 and < 1'
    >>> facts(TrainConfig, "optimizer").allowed
    'adamw or sgd'
    """
    known = section_type.__pydantic_fields__[name]
    limits = [
        f"{sign} {getattr(limit, key)}"
        for key, sign in _LIMITS.items()
        for limit in known.metadata
        if hasattr(limit, key)
    ]
    is_choice = typing.get_origin(known.annotation) is typing.Literal
    choices = " or ".join(map(str, typing.get_args(known.annotation)))
    allowed = choices if is_choice else " and ".join(limits)
    return Facts(known.description or "", known.default, allowed)


@contextmanager
def at(place: str) -> Iterator[None]:
    """Prefix the message of a UsageError with its place, such as the file's name."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{place}: {error}") from error


def require(ok: bool, name: str, expected: str, value: Any) -> None:
    """Raise a UsageError that names a setting, what it must be, and what it is."""
    if not ok:
        raise UsageError(f"`{name}` must be {expected}. Received: {name}={value!r}.")


def _usage_error(root: Any, above: _Place, error: ValidationError) -> UsageError:
    """The first of pydantic's errors, in our words."""
    first = error.errors(include_url=False)[0]
    loc, kind, value = first["loc"], first["type"], first["input"]
    place, context = _joined((*above, *loc)), first.get("ctx", {})
    if kind == "value_error":  # raised by a section's own check
        message = str(context["error"])
        return UsageError(f"{place}: {message}" if place else message)
    if not loc:
        example = dataclasses.fields(root)[0].name
        return UsageError(
            f"`{place or 'the file'}` must be a section with keys such as "
            f"`{example}:`. Received: {value!r}."
        )
    owner, name = _joined((*above, *loc[:-1])), loc[-1]
    if "missing" in kind:
        lacks = f"lacks {name}" if isinstance(name, str) else "has too few values"
        return UsageError(f"`{owner or root.__name__}` {lacks}.")
    parent = _type_at(root, loc[:-1])
    if kind == "unexpected_keyword_argument":
        names = [field.name for field in dataclasses.fields(parent)]
        if home := _section_with(root, str(name)):
            where = f"`{home}:`" if owner else f"`{home}:`, not at the file's root"
            is_in = f"`{owner}` has no key `{name}`: it" if owner else f"`{name}`"
            return UsageError(f"{is_in} belongs in the section {where}.")
        return unknown(f"key in `{owner}`" if owner else "key", str(name), names)
    if kind == "literal_error":
        options = filter(None, re.findall(r"'([^']*)'", context["expected"]))
        message = str(unknown(str(name), str(value), options))
        return UsageError(f"{owner}: {message}" if owner else message)
    expected = _EXPECTED.get(kind, "").format(**context)
    if context.keys() & _LIMITS.keys():
        expected = facts(parent, str(name)).allowed
    expected = f"must be {expected}" if expected else f"is wrong: {first['msg']}"
    remedy = ""
    if kind == "string_type" and isinstance(value, bool | int | float):
        remedy = f' Put it in quotes: "{str(value).lower()}".'
    return UsageError(f"`{place}` {expected}. Received: {value!r}.{remedy}")


def _section_with(root: Any, name: str) -> str | None:
    """The section that has a key."""
    for field in dataclasses.fields(root):
        kind: Any = field.type
        is_section = isinstance(kind, type) and dataclasses.is_dataclass(kind)
        if is_section and name in [key.name for key in dataclasses.fields(kind)]:
            return field.name
    return None


def _joined(place: _Place) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in place]
    return "".join(parts).removeprefix(".")


def _type_at(kind: Any, loc: _Place) -> Any:
    """The type of the section that lies at a place below another."""
    for part in loc:
        if dataclasses.is_dataclass(kind):
            kind = typing.get_type_hints(kind)[str(part)]
        else:  # tuple[Section, ...] or Mapping[str, Section]
            kind = next(a for a in typing.get_args(kind) if a not in (str, Ellipsis))
    return kind
