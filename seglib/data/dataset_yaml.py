"""dataset.yaml: classes, colours, ignored id and inputs of a dataset."""

import re
from pathlib import Path
from typing import Any

from seglib.config import LARGEST_ID, MAX_CLASSES
from seglib.data.pairs import IMAGE
from seglib.data.problems import IGNORE, SEVERITIES, check_kind
from seglib.data.tree import LOCAL, Tree
from seglib.errors import DatasetError, UsageError, unknown
from seglib.plain_text import visible_line
from seglib.storage.documents import parse_yaml, read_yaml
from seglib.storage.files import normal

DESCRIPTION = "dataset.yaml"
_KEYS = (
    "class_names",
    "palette",
    "ignore_index",
    "num_classes",
    "inputs",
    "severities",
)
_INPUT_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TAKEN = (IMAGE, "images", "mask", "segmentation")


def read_description(root: Path, tree: Tree = LOCAL) -> dict[str, Any]:
    """The checked content of a folder's dataset.yaml; empty without that file."""
    path = root / DESCRIPTION
    if not tree.exists(path):
        return {}
    if tree is not LOCAL:
        return parse_description(tree.read(path), name=str(path))
    return _checked(path, read_yaml(path, error=DatasetError))


def parse_description(content: bytes, *, name: str = DESCRIPTION) -> dict[str, Any]:
    """The checked content of a dataset.yaml.

    Raises:
        DatasetError: it cannot be understood; the message begins with `name`.
    """
    return _checked(Path(name), parse_yaml(content, name=name, error=DatasetError))


def _checked(path: Path, tree: Any) -> dict[str, Any]:
    description = {} if tree is None else tree
    if not isinstance(description, dict):
        raise DatasetError(f"{path}: expected keys such as `class_names:`.")
    for key in description:
        if key not in _KEYS:
            raise DatasetError(f"{path}: {unknown('key', str(key), _KEYS)}")
    _check_description(path, description)
    if names := description.get("class_names"):
        description["class_names"] = [normal(name) for name in names]
    return description


def require_name(name: str, *, where: str = "") -> None:
    """Raise a DatasetError for a name of a class that cannot be shown on one line."""
    if name != visible_line(name):
        raise DatasetError(
            f"{where}a name of `class_names` must be text on one line, without control "
            f"characters. Received: {name!r}. Give the class another name."
        )


def _check_description(path: Path, description: dict[str, Any]) -> None:
    names = description.get("class_names") or []
    if not isinstance(names, list) or len({normal(str(n)) for n in names}) < len(names):
        raise DatasetError(f"{path}: `class_names` must be a list of different names.")
    for name in names:
        if not isinstance(name, str):  # YAML reads a bare `no` or `1` as something else
            raise DatasetError(
                f"{path}: a name of `class_names` must be text. Received: {name!r}. "
                "Put it in quotes."
            )
        require_name(name, where=f"{path}: ")
    for key, most in {"ignore_index": LARGEST_ID, "num_classes": MAX_CLASSES}.items():
        value = description.get(key)
        if value is None:
            continue
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not 0 <= value <= most:
            raise DatasetError(
                f"{path}: `{key}` must be an integer from 0 to {most}. "
                f"Received: {value}."
            )
    _check_inputs(path, description.get("inputs") or {})
    _check_severities(path, description.get("severities") or {})
    palette = description.get("palette") or []
    if not isinstance(palette, list):
        raise DatasetError(f"{path}: `palette` must be a list. Received: {palette!r}.")
    for key, listed in {"class_names": names, "palette": palette}.items():
        if len(listed) > MAX_CLASSES:
            raise DatasetError(
                f"{path}: `{key}` has {len(listed):,} entries. Expected: one a class, "
                f"at most {MAX_CLASSES}."
            )
    for colour in palette:
        if not _is_colour(colour):
            raise DatasetError(
                f"{path}: a colour of `palette` is [red, green, blue], each 0 … 255. "
                f"Received: {colour}."
            )


def _check_inputs(path: Path, inputs: Any) -> None:
    if not isinstance(inputs, dict):
        raise DatasetError(
            f"{path}: `inputs` must name further input images and their channels, "
            f"such as {{depth: 1}}. Received: {inputs!r}."
        )
    for name, channels in inputs.items():
        if not isinstance(name, str) or not _INPUT_NAME.fullmatch(name):
            raise DatasetError(
                f"{path}: a name of `inputs` consists of small letters, digits and _. "
                f"Received: {name!r}."
            )
        if name in _TAKEN:
            raise DatasetError(
                f"{path}: `{name}` of `inputs` has a meaning already. Give the folder "
                "another name."
            )
        if channels not in (1, 3, 4) or isinstance(channels, bool):
            raise DatasetError(
                f"{path}: the input `{name}` must have 1 (grey), 3 (RGB) or 4 (RGBA) "
                f"channels. Received: {channels!r}."
            )


def _check_severities(path: Path, severities: Any) -> None:
    if not isinstance(severities, dict):
        raise DatasetError(
            f"{path}: `severities` must give kinds of findings another severity, such "
            f"as {{duplicate: note}}. Received: {severities!r}."
        )
    for kind, severity in severities.items():
        if severity not in (*SEVERITIES, IGNORE):
            expected = ", ".join((*SEVERITIES, IGNORE))
            raise DatasetError(
                f"{path}: the severity of `{kind}` must be one of {expected}. "
                f"Received: {severity!r}."
            )
        try:
            check_kind(str(kind), severity)
        except UsageError as error:
            raise DatasetError(f"{path}: {error}") from error


def _is_colour(colour: Any) -> bool:
    return (
        isinstance(colour, list)
        and len(colour) == 3
        and all(isinstance(part, int) and 0 <= part <= 255 for part in colour)
    )
