"""Lists of classes, as datasets bring them: names, and often colours.

`class_dict.csv` (name,r,g,b), CamVid's `label_colors.txt` (r g b name), CVAT's
`labelmap.txt` (name:r,g,b::), Mapillary's `config.json`, `id2label.json`, ADE20K's
`objectInfo150.txt`, and a name a line.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seglib.config import MAX_CLASSES
from seglib.data.dataset_yaml import require_name
from seglib.errors import DatasetError
from seglib.storage.documents import MAX_BYTES, read_json
from seglib.storage.files import normal, read_file

Colour = tuple[int, int, int]

FILES = (
    *("class_dict.csv", "label_colors.txt", "labelmap.txt"),
    *("config.json", "config_v1.2.json", "config_v2.0.json", "id2label.json"),
    *("classes.txt", "class_names.txt", "labels.txt", "objectInfo150.txt"),
)
VOIDS = frozenset(
    {
        *("void", "ignore", "ignored", "__ignore__", "void--unlabeled"),
        *("unlabeled", "unlabelled"),
    }
)
_CVAT = re.compile(r"(?P<name>[^:#]+):(?P<colour>\d{1,9},\d{1,9},\d{1,9})(:.*)?")
_CAMVID = re.compile(r"(?P<colour>\d{1,9}\s+\d{1,9}\s+\d{1,9})\s+(?P<name>\S.*)")
_ID = re.compile(r"\d{1,9}")
_ADE = re.compile(r"\d+\t[\d.]+\t\d+\t\d+\t(?P<name>.+)")


@dataclass(frozen=True)
class ClassList:
    """Classes in the order of their list; `void` holds positions that are ignored."""

    names: tuple[str, ...]
    colours: tuple[Colour, ...] = ()
    void: frozenset[int] = frozenset()

    @property
    def kept(self) -> list[int]:
        """The positions of the classes; the place here is the class id."""
        return [i for i in range(len(self.names)) if i not in self.void]

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.names[i] for i in self.kept)

    @property
    def palette(self) -> tuple[Colour, ...]:
        return tuple(self.colours[i] for i in self.kept) if self.colours else ()

    def ids(self, void: int) -> list[int]:
        """The class id of each position; `void` for ignored ones."""
        kept = {position: index for index, position in enumerate(self.kept)}
        return [kept.get(position, void) for position in range(len(self.names))]

    def by_colour(self, void: int) -> dict[Colour, int]:
        """The class id of each colour; `void` for ignored ones."""
        return dict(zip(self.colours, self.ids(void), strict=True))


def find_class_list(root: Path, voids: Collection[str]) -> ClassList | None:
    """The list of a folder, if it has one of the known names."""
    found = next((root / name for name in FILES if (root / name).is_file()), None)
    return read_class_list(found, voids) if found else None


def read_class_list(path: Path, voids: Collection[str]) -> ClassList:
    """Read a list of classes; its content tells which of the kinds it is.

    Args:
        path: the file.
        voids: names of classes whose pixels are ignored, in small letters.

    Raises:
        DatasetError: it is none of the kinds, or has a name or a colour twice.
    """
    suffix = path.suffix.lower()
    entries = list(_of_json(path) if suffix == ".json" else _of_lines(path))
    names = tuple(normal(name.strip()) for name, _ in entries)
    if not names:
        raise DatasetError(f"{path}: no class in it. Expected one a line.")
    for name in names:
        require_name(name, where=f"{path}: ")
    _require_different(path, "name", names)
    colours = [colour for _, colour in entries if colour is not None]
    if colours:
        if len(colours) < len(names):
            without = next(name for name, colour in entries if colour is None)
            raise DatasetError(f"{path}: the class `{without}` has no colour.")
        if strange := [c for c in colours if max(c) > 255 or min(c) < 0]:
            raise DatasetError(
                f"{path}: a colour is red, green and blue, each 0 … 255. "
                f"Received: {strange[0]}."
            )
        for colour, count in Counter(colours).items():
            if count > 1:
                same = [n for n, c in zip(names, colours, strict=True) if c == colour]
                raise DatasetError(
                    f"{path}: the classes {', '.join(f'`{n}`' for n in same)} have one "
                    f"colour, {colour}. Give each its own."
                )
    void = frozenset(i for i, name in enumerate(names) if name.casefold() in voids)
    return ClassList(names, tuple(colours), void)


def _require_different(path: Path, what: str, values: Iterable[str]) -> None:
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise DatasetError(f"{path}: the {what} `{twice[0]}` is there twice.")


def _of_json(path: Path) -> Iterator[tuple[str, Colour | None]]:
    tree: Any = read_json(path)
    if isinstance(tree, dict) and isinstance(tree.get("labels"), list):
        for label in tree["labels"]:  # Mapillary
            try:
                red, green, blue = label["color"][:3]
                name = label.get("readable") or label["name"]
                yield str(name), (int(red), int(green), int(blue))
            except (
                LookupError,
                TypeError,
                AttributeError,
                ValueError,
                OverflowError,
            ) as error:
                told = json.dumps(label)[:80]
                raise DatasetError(
                    f"{path}: expected `name` and `color` of each label. "
                    f"Received: {told}."
                ) from error
    elif isinstance(tree, dict) and tree and all(map(_ID.fullmatch, tree)):
        by_id = {int(key): str(name) for key, name in tree.items()}
        if max(by_id) >= MAX_CLASSES:
            raise DatasetError(
                f"{path}: ids of classes are 0 … {MAX_CLASSES - 1:,}. Received: "
                f"{max(by_id):,}."
            )
        for index in range(max(by_id) + 1):
            yield by_id.get(index, f"class_{index}"), None
    elif isinstance(tree, list) and all(isinstance(name, str) for name in tree):
        for name in tree:
            yield name, None
    else:
        raise DatasetError(
            f"{path}: expected `labels` with `name` and `color`, names by their id, or "
            "a list of names."
        )


def _of_lines(path: Path) -> Iterator[tuple[str, Colour | None]]:
    try:
        text = read_file(path, max_bytes=MAX_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read as text ({error}).") from error
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if path.suffix.lower() == ".csv":
        yield from _of_csv(path, lines)
        return
    if lines and lines[0].casefold().startswith("idx\t"):  # ADE20K's head
        lines = lines[1:]
    for pattern in (_CVAT, _CAMVID, _ADE):
        if lines and pattern.fullmatch(lines[0]):
            break
    else:
        yield from ((line, None) for line in lines)
        return
    for line in lines:
        if not (found := pattern.fullmatch(line)):
            raise DatasetError(
                f"{path}: expected all lines to be like the first one, {lines[0]!r}. "
                f"Received: {line[:80]!r}."
            )
        colour = found.groupdict().get("colour")
        yield found["name"], _colour(re.split(r"[,\s]+", colour)) if colour else None


def _of_csv(path: Path, lines: list[str]) -> Iterator[tuple[str, Colour | None]]:
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines)]
    for number, row in enumerate(rows):
        try:
            yield row[0], _colour(row[1:4]) if len(row) > 1 else None
        except ValueError as error:
            if number == 0:  # the head
                continue
            raise DatasetError(
                f"{path}: expected rows of name,r,g,b. Received: {','.join(row)[:80]}."
            ) from error


def _colour(parts: list[str]) -> Colour:
    red, green, blue = map(int, parts)
    return red, green, blue
