"""Files that `.dvcignore` excludes, by the patterns of `.gitignore`."""

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from seglib.storage.documents import MAX_BYTES
from seglib.storage.dvc.dvc_config import repository_of
from seglib.storage.files import read_file

_FILE = ".dvcignore"
_NOTHING = ("*", "**")  # with a slash after it, this matches nothing in DVC


class _Rule(NamedTuple):
    base: Path  # the folder of the file that states it
    path: re.Pattern[str]  # relative to it
    ignores: bool
    only_folders: bool


def ignored_in(root: Path) -> Callable[[Path], bool]:
    """A function that tells whether DVC excludes a file of a folder.

    The files between the DVC repository's root and the folder count. DVC takes no
    folder that has such a file inside.
    """
    root = root.resolve()
    repository = repository_of(root.parent)
    if repository is None:
        return lambda _: False
    places = [p for p in (root, *root.parents) if p.is_relative_to(repository)]
    rules = [rule for place in reversed(places[1:]) for rule in _read(place)]

    def is_ignored(path: Path) -> bool:
        inside = root / path
        above = [p for p in inside.parents if p.is_relative_to(repository)]
        places = [*reversed(above[:-1]), inside]
        return any(_matches(place, rules, place != inside) for place in places)

    return is_ignored if rules else lambda _: False


def _matches(path: Path, rules: list[_Rule], is_folder: bool) -> bool:
    """Whether the last matching rule excludes it."""
    for rule in reversed(rules):
        if rule.only_folders and not is_folder:
            continue
        if path.is_relative_to(rule.base):
            relative = PurePosixPath(path.relative_to(rule.base)).as_posix()
            if rule.path.fullmatch(relative):
                return rule.ignores
    return False


def _read(folder: Path) -> list[_Rule]:
    try:
        lines = read_file(folder / _FILE, max_bytes=MAX_BYTES).decode().splitlines()
    except (OSError, ValueError):
        return []
    return [rule for line in lines if (rule := _parse(folder, line.strip()))]


def _parse(base: Path, line: str) -> _Rule | None:
    if not line.strip("/") or line.startswith("#"):
        return None
    ignores = not line.startswith("!")
    line = line if ignores else line[1:]
    only_folders = line.endswith("/")
    pattern = line.rstrip("/")
    if only_folders:
        pattern = pattern.removesuffix("/**")  # DVC means the folder itself, too
    if not pattern or (only_folders and pattern in _NOTHING):
        return None
    if "/" not in pattern:
        pattern = f"**/{pattern}"
    try:
        compiled = re.compile(_expression(pattern.lstrip("/")), re.DOTALL)
    except re.error:
        return None
    return _Rule(base, compiled, ignores, only_folders)


def _expression(pattern: str) -> str:
    """The regular expression of a pattern of `.gitignore`, and of all in its folder."""
    parts, expression = pattern.split("/"), ""
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        if part == "**":
            expression += ".+" if is_last else "(?:.*/)?"
        else:
            expression += _part(part) + ("" if is_last else "/")
    return f"{expression}(?:/.*)?"


def _part(part: str) -> str:
    expression, rest = "", part
    while rest:
        sign, rest = rest[0], rest[1:]
        if sign == "*":
            expression += "[^/]*"
        elif sign == "?":
            expression += "[^/]"
        elif sign == "\\" and rest:
            expression, rest = expression + re.escape(rest[0]), rest[1:]
        elif sign == "[" and (match := re.match(r"([!^]?)(\]?[^\]]*)\]", rest)):
            inside = match[2].replace("\\", "\\\\").replace("[", "\\[")
            inside = "\\" + inside if inside.startswith(("]", "^")) else inside
            expression += f"[{'^' if match[1] else ''}{inside}]"
            rest = rest[match.end() :]
        else:
            expression += re.escape(sign)
    return expression
