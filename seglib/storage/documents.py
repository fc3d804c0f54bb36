"""YAML and JSON documents, read within bounds.

Every problem is one sentence that names the file: its size, its encoding, its syntax,
duplicate keys, deep nesting, and aliases that expand a small file to a huge tree.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import yaml

from seglib.errors import SegError
from seglib.storage.files import read_file

MAX_BYTES = 1 << 20  # of what a person writes
MAX_PROGRAM_BYTES = 64 << 20  # of compiled pipelines
MAX_LISTING_BYTES = 1 << 30  # of manifests and listings, which name every file
_MAX_DEPTH = 100
_MAX_NODES = 1_000_000  # each alias counts as what it stands for
_OUTSIDE = (
    *(yaml.StreamStartEvent, yaml.StreamEndEvent),
    *(yaml.DocumentStartEvent, yaml.DocumentEndEvent),
)
# In C where PyYAML has it: ten times as fast.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path, *, error: type[SegError] = SegError) -> Any:
    """Read a YAML file that a person writes; problems are raised as `error`."""
    content = _read(path, error, "", MAX_BYTES)
    return parse_yaml(content, name=str(path), error=error)


class StreamedList(list[Any]):
    """A list for `JSONEncoder.iterencode` whose items are made while it is written."""

    def __init__(self, count: int, items: Callable[[], Iterator[Any]]):
        super().__init__()
        self._count, self._items = count, items

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        return self._items()


def read_json(path: Path, *, remedy: str = "", max_bytes: int = MAX_BYTES) -> Any:
    """Read a JSON file.

    Args:
        path: the file.
        remedy: the last sentence of messages.
        max_bytes: a larger file is not read.
    """
    content = _read(path, SegError, remedy, max_bytes)
    return parse_json(content, name=str(path), remedy=remedy)


def read_json_object(path: Path, *, remedy: str = "") -> dict[str, Any]:
    """Read a JSON file that holds an object; another one is a SegError."""
    tree = read_json(path, remedy=remedy)
    if not isinstance(tree, dict):
        message = f"{path}: expected a JSON object. Received: {type(tree).__name__}."
        raise SegError(f"{message} {remedy}".rstrip())
    return tree


def parse_yaml(
    content: bytes | str,
    *,
    name: str,
    error: type[SegError] = SegError,
    remedy: str = "",
) -> Any:
    """The one document of a YAML text; the messages begin with `name`."""
    trees = parse_all_yaml(content, name=name, error=error, remedy=remedy)
    if len(trees) > 1:
        message = f"{name}: not valid YAML ({len(trees)} documents, expected one)."
        raise error(f"{message} {remedy}".rstrip())
    return trees[0] if trees else None


def parse_all_yaml(
    content: bytes | str,
    *,
    name: str,
    error: type[SegError] = SegError,
    remedy: str = "",
) -> tuple[Any, ...]:
    """All documents of a YAML text; the messages begin with `name`."""
    try:
        text = content if isinstance(content, str) else content.decode("utf-8-sig")
        _check_yaml(text)
        return tuple(yaml.load_all(text, Loader=_Loader))
    except (ValueError, yaml.YAMLError, RecursionError) as fault:
        message = f"{name}: not valid YAML ({_reason(fault)})."
        raise error(f"{message} {remedy}".rstrip()) from fault


def parse_json(content: bytes | str, *, name: str, remedy: str = "") -> Any:
    """What a JSON text holds; the messages begin with `name`."""
    try:
        text = content if isinstance(content, str) else content.decode("utf-8-sig")
        return json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as fault:
        message = f"{name}: not valid JSON ({_reason(fault)})."
        raise SegError(f"{message} {remedy}".rstrip()) from fault


def _read(path: Path, error: type[SegError], remedy: str, max_bytes: int) -> bytes:
    try:
        return read_file(path, max_bytes=max_bytes)
    except OSError as fault:
        message = f"{path}: cannot be read ({fault.strerror})."
        raise error(f"{message} {remedy}".rstrip()) from fault


def _reason(fault: Exception) -> str:
    if isinstance(fault, RecursionError):
        return "it is nested too deeply"
    if isinstance(fault, UnicodeDecodeError):
        return f"it is not UTF-8 text: byte {fault.start}"
    if mark := getattr(fault, "problem_mark", None):
        return f"{getattr(fault, 'problem', 'wrong')} at line {mark.line + 1}"
    return " ".join(str(fault).split()).rstrip(".")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} occurs twice")
    return found


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


def _check_yaml(text: str) -> None:
    """Refuse duplicate keys, unknown aliases and trees that are too large."""
    open_nodes: list[_Open] = []
    sizes: dict[str, int] = {}  # anchor -> nodes below it
    count = 0
    event: Any
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, _OUTSIDE):
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            ended = open_nodes.pop()
            if ended.anchor:
                sizes[ended.anchor] = count - ended.before
            continue
        if open_nodes:
            open_nodes[-1].add(event)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise ValueError(f"the alias *{event.anchor} stands for nothing yet")
            count += sizes[event.anchor]
        elif isinstance(event, yaml.CollectionStartEvent):
            sizes.pop(event.anchor or "", None)  # until it has ended
            open_nodes.append(_Open(event, before=count))
        else:
            event.value.encode()  # lone surrogates cannot be written again
            if event.anchor:
                sizes[event.anchor] = 1
        count += 1
        if len(open_nodes) > _MAX_DEPTH:
            line = event.start_mark.line + 1
            raise ValueError(f"more than {_MAX_DEPTH} levels deep at line {line}")
        if count > _MAX_NODES:
            raise ValueError(f"more than {_MAX_NODES:,} values")


class _Open:
    """A list or mapping that is being parsed."""

    def __init__(self, event: Any, *, before: int):
        self.anchor, self.before = event.anchor, before
        self._keys: set[tuple[str, bool]] | None = None  # of a mapping
        if isinstance(event, yaml.MappingStartEvent):
            self._keys = set()
        self._expects_key = True

    def add(self, event: Any) -> None:
        """Take a key or a value; a key must be new."""
        if self._keys is None:
            return
        if self._expects_key and isinstance(event, yaml.ScalarEvent):
            key = (event.value, event.implicit[0])
            if key in self._keys:
                raise ValueError(f"the key {event.value!r} occurs twice")
            self._keys.add(key)
        self._expects_key = not self._expects_key
