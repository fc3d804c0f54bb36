"""A folder that is not in our format: what it is, and the command that converts it."""

import shlex
from pathlib import Path

from seglib.data.conversion.class_lists import find_class_list
from seglib.data.conversion.formats import find_format
from seglib.data.conversion.paired_folders import FROM_MASKS, found_layout
from seglib.data.conversion.source import Source, split_of
from seglib.data.image_io import ColoursError, decode_mask, read_bytes
from seglib.errors import DatasetError

_LISTS = (".json", ".jsonl", ".txt", ".parquet", ".arrow")
_SHARES = "0.8/0.2"


def advice(root: Path) -> str:
    """What a folder holds, and the command that makes a dataset of it; "": unknown.

    Args:
        root: an existing folder without splits of ours.
    """
    source = Source(root)
    try:
        name, _ = find_format(source)
    except DatasetError:
        return ""
    layout, what = found_layout(root) if name == "colours" else ([], "")
    new = root.with_name(f"{root.resolve().name}-seglib")
    command = ["seglib", "convert", str(root), "--out", str(new)]
    if not _has_splits(source):
        command += ["--split", _SHARES]
    if layout and _are_colours(layout[0]) and not find_class_list(root, ()):
        what += "; the masks hold colours"
        command += ["--classes", FROM_MASKS]
    return (
        f"It looks like {what or f'the format `{name}`'}. This makes a dataset of it:\n"
        f"  {shlex.join(command)}"
    )


def _has_splits(source: Source) -> bool:
    return any(
        source.split_of_folder(path)
        or (path.suffix.lower() in _LISTS and split_of(path.stem))
        for path in source.files
    )


def _are_colours(mask: Path) -> bool:
    try:
        decode_mask(read_bytes(mask), name=str(mask))
    except ColoursError:
        return True
    except (DatasetError, ValueError):
        pass  # the conversion tells
    return False
