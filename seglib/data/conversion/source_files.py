"""Files of a source: found below its folder and nowhere else."""

import json
import math
import os
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from seglib.data.file_formats import check_pixels
from seglib.data.image_io import IMAGE_SUFFIXES
from seglib.errors import SegError
from seglib.storage.files import is_left_behind, normal, open_file, read_file

SPLIT_NAMES: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "validation", "valid", "dev"),
    "test": ("test", "testing"),
}
_BY_NAME = {name: split for split, names in SPLIT_NAMES.items() for name in names}
_WORDS = re.compile(r"[a-z]+")
_PEEK = 1 << 16  # bytes at either end of a file
_MAX_JSON = 8 << 30  # bytes
_LONGEST_SIDE = 1 << 31
_LEAST_PACKED = 6  # numbers of a list that is packed


def split_of(name: str) -> str:
    """The split that a name such as `instances_val2017` tells; else "".

    >>> split_of("instances_val2017"), split_of("default")
    ('val', '')
    """
    found = [_BY_NAME[w] for w in _WORDS.findall(name.casefold()) if w in _BY_NAME]
    return found[-1] if found else ""


def walk(root: Path) -> Iterator[Path]:
    """All visible files below a folder, sorted; links to folders are followed once."""
    seen: set[str] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not is_left_behind(name))
        for name in sorted(files):
            if not is_left_behind(name):
                yield Path(folder, name)


def is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def images_below(folder: Path) -> dict[str, Path]:
    """Image files by their path below a folder, posix, without suffix."""
    found: dict[str, Path] = {}
    for path in filter(is_image, walk(folder)):
        found.setdefault(stem_below(folder, path), path)
    return found


def stem_below(root: Path, path: Path) -> str:
    """The path below a folder, posix, without suffix."""
    return normal(path.relative_to(root).with_suffix("").as_posix())


class ImageIndex:
    """The image files of a source, by the ends of their paths."""

    def __init__(self, root: Path):
        self._root = root
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        for path in filter(is_image, walk(root)):
            self._by_name[normal(path.name)].append(path)

    def find(self, file_name: str, *, near: Iterable[str] = ()) -> Path:
        """The file that a document names, perhaps by a path of another machine.

        Args:
            file_name: as it is written.
            near: names of folders, such as `train2017`; of several files, those in
                the first folder that has any are meant.

        Raises:
            SegError: there is none, or several that could be meant.
        """
        parts = PurePosixPath(normal(file_name).replace("\\", "/")).parts
        same = self._by_name.get(parts[-1], []) if parts else []
        for count in range(len(parts), 0, -1):  # the longest common end
            fitting = [path for path in same if path.parts[-count:] == parts[-count:]]
            if fitting:
                break
        else:
            raise SegError(f"the image {file_name!r} is not below {self._root}")
        for folder in near if len(fitting) > 1 else ():
            if nearer := [path for path in fitting if folder in path.parts]:
                fitting = nearer
                break
        if len(fitting) > 1:
            told = " or ".join(str(p.relative_to(self._root)) for p in fitting[:3])
            raise SegError(f"the image {file_name!r} may be {told}")
        return fitting[0]


def inside(root: Path, base: Path, name: str) -> Path:
    """A file that a document in the folder `base` names.

    Raises:
        SegError: the path is absolute, or leads out of `root`.
    """
    place = posixpath.normpath(
        posixpath.join(base.relative_to(root).as_posix(), name.replace("\\", "/"))
    )
    if "\0" in name or any(
        len(part.encode("utf-8", "replace")) > 255 for part in place.split("/")
    ):
        raise SegError(f"{name[:40]!r}… is no name of a file")
    if place.startswith(("..", "/")) or re.match(r"[A-Za-z]:", name):
        raise SegError(f"{name!r} leads out of the source's folder")
    return root / place


def peek(path: Path) -> bytes:
    """The beginning and the end of a file; empty if it cannot be read."""
    try:
        with open_file(path) as file:
            head = file.read(_PEEK)
            size = os.fstat(file.fileno()).st_size
            file.seek(max(len(head), size - _PEEK))
            return head + file.read(_PEEK)
    except OSError:
        return b""


def read_large_json(path: Path, *, without: frozenset[str] = frozenset()) -> Any:
    """Read a JSON file of annotations, with long lists of numbers packed to arrays.

    So a polygon takes 8 bytes a number, in place of 32.

    Args:
        path: the file.
        without: keys whose values are dropped.

    Raises:
        SegError: it cannot be read, or is damaged; names line and column.
    """

    def pack(tree: dict[str, Any]) -> dict[str, Any]:
        return {k: _packed(v) for k, v in tree.items() if k not in without}

    try:
        return json.loads(read_file(path, max_bytes=_MAX_JSON), object_hook=pack)
    except OSError as error:
        raise SegError(f"{path}: cannot be read ({error.strerror}).") from error
    except json.JSONDecodeError as error:
        raise SegError(
            f"{path}: no JSON, or damaged, at line {error.lineno}, column "
            f"{error.colno} ({error.msg}). Export it again."
        ) from error
    except UnicodeDecodeError as error:
        raise SegError(f"{path}: not UTF-8, at byte {error.start:,}.") from error
    except RecursionError as error:
        raise SegError(f"{path}: nested too deeply for annotations.") from error


def stated_size(
    height: Any, width: Any, size: tuple[int, int], where: str
) -> tuple[int, int]:
    """The size that a document states for an image, else that of the file."""
    if any(type(n) is not int or not 0 < n < _LONGEST_SIDE for n in (height, width)):
        return size
    check_pixels(height, width, name=where)
    return height, width


def _packed(value: Any) -> Any:
    if not isinstance(value, list) or not value:
        return value
    if isinstance(value[0], list):
        return [_packed(part) for part in value]
    if len(value) >= _LEAST_PACKED and all(type(v) in (int, float) for v in value):
        try:
            return np.array(value, np.float64)
        except OverflowError:  # an integer of hundreds of digits
            return value
    return value


def numbers(value: Any) -> np.ndarray | None:
    """A list of finite numbers, perhaps of pairs, as float64 (N,); None if it is none.

    >>> numbers([[1, 2], [3, 4.5]])
    array([1. , 2. , 3. , 4.5])
    """
    try:
        array = np.asarray(value, np.float64).ravel()
    except (TypeError, ValueError, OverflowError):
        return None
    return array if array.size and math.isfinite(array.sum()) else None
