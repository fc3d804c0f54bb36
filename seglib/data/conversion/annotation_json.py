"""JSON files of annotations: read with little memory, their numbers checked."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from seglib.data.file_formats import check_pixels
from seglib.errors import SegError
from seglib.storage.files import read_file

_MAX_JSON = 8 << 30  # bytes
_LONGEST_SIDE = 1 << 31
_LEAST_PACKED = 6  # numbers of a list that is packed


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
    return array if array.size and np.isfinite(array).all() else None
