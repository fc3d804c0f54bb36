"""Hugging Face `datasets`: image folders with metadata, and Parquet or Arrow files.

Columns of images are told by the features that the library writes into its files; the
one that is named as a mask is the mask. Read with pyarrow, which that library uses.
"""

import csv
import io
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from seglib.data.conversion.class_lists import find_class_list
from seglib.data.conversion.foreign import (
    ForeignDataset,
    ForeignSample,
    ReadOptions,
    Remark,
    mask_file,
)
from seglib.data.conversion.masks import MaskReader
from seglib.data.conversion.paired_folders import mask_at
from seglib.data.conversion.source_files import inside, split_of, stem_below, walk
from seglib.data.dataset import Dataset
from seglib.data.image_io import encode_png, read_mask
from seglib.errors import DatasetError, SegError, UsageError
from seglib.storage.atomic_write import write_bytes, write_text
from seglib.storage.files import normal

_METADATA = ("metadata.jsonl", "metadata.csv")
_TABLES = (".parquet", ".arrow")
_END = "file_name"  # of the columns of `metadata` that name files
_MASKS = re.compile(r"mask|label|annotation|segmentation|target|ground_truth|gt")
_KEPT_GROUPS = 4  # decoded groups of rows


def recognises(root: Path) -> bool:
    """Whether metadata, or Parquet or Arrow files, are there."""
    return any(p.suffix in _TABLES or p.name in _METADATA for p in walk(root))


def read(root: Path, options: ReadOptions) -> ForeignDataset:
    """Read the metadata of image folders, or else all tables."""
    classes = options.classes or find_class_list(root, options.voids)
    names, palette = (classes.class_names, classes.palette) if classes else ((), ())
    dataset = ForeignDataset((), names, palette)
    reader = MaskReader(classes, ignored=options.ignore_index)
    files = list(walk(root))
    documents = [path for path in files if path.name in _METADATA]
    samples: list[ForeignSample] = []
    for path in documents:
        samples += _of_metadata(root, path, reader, dataset.problems)
    rows: Counter[str] = Counter()
    if not documents:
        for path in files:
            if path.suffix in _TABLES:
                samples += _of_table(root, path, reader, rows)
    return ForeignDataset(samples, names, palette, [], dataset.problems)


def _of_metadata(
    root: Path, path: Path, reader: MaskReader, problems: list[Remark]
) -> Iterator[ForeignSample]:
    where = path.relative_to(root).as_posix()
    for number, row in enumerate(_rows(path), start=1):
        place = f"{where}, row {number}"
        names = [key for key in row if key and key.endswith(_END)]
        image, mask = _choose(names, path)
        wanted = [str(row[name]) for name in (image, mask) if row[name]]
        try:
            files = [inside(root, path.parent, name) for name in wanted]
        except SegError as error:
            problems.append(Remark(str(error), place))
            continue
        missing = [file.name for file in files if not file.is_file()]
        if missing or not row[image]:
            told = f"{missing[0]} is not there" if missing else "no image is named"
            problems.append(Remark(told, place))
            continue
        draw = None
        if len(files) > 1:
            draw = mask_at(files[1], reader)
        split = split_of(path.parent.relative_to(root).as_posix())
        yield ForeignSample(stem_below(root, files[0]), split, files[0], draw)


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read as text ({error}).") from error
    if path.suffix == ".csv":
        yield from csv.DictReader(io.StringIO(text))
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise DatasetError(
                f"{path}: line {number} is no JSON ({error})."
            ) from error
        if not isinstance(row, dict):
            raise DatasetError(f"{path}: line {number}: expected an object.")
        yield row


def _choose(columns: list[str], path: Path) -> tuple[str, str]:
    """The columns of the image and of the mask."""
    masks = [name for name in columns if _MASKS.search(name)]
    images = [name for name in columns if name not in masks]
    if len(masks) != 1 or len(images) != 1:
        raise DatasetError(
            f"{path}: expected one column of images, and one whose name tells a mask, "
            f"such as `mask` or `annotation`. Received: {', '.join(columns) or 'none'}."
        )
    return images[0], masks[0]


def _of_table(
    root: Path, path: Path, reader: MaskReader, rows: Counter[str]
) -> Iterator[ForeignSample]:
    schema, groups = _open(path)
    image, mask = _choose(_image_columns(schema), path)
    place = path.relative_to(root)
    split = split_of(path.name) or split_of(place.parent.as_posix())
    for group in range(groups):
        for row, name in enumerate(_names(path, group, image)):
            stem = Path(name.replace("\\", "/")).stem
            if not stem:  # a number at the end would look like a frame of a video
                stem = f"{rows[split]:06d}_{split or 'row'}"
            rows[split] += 1
            read = partial(_cell, path, group, row, mask, (image, mask))
            told = f"{place.as_posix()}, {stem}"
            draw = mask_file(read, partial(reader, name=told))
            content = partial(_cell, path, group, row, image, (image, mask))
            below = (place.parent / place.stem / normal(stem)).as_posix()
            yield ForeignSample(below, split, content, draw)


def _image_columns(schema: Any) -> list[str]:
    """The columns of images, by the library's own features, or by their bytes."""
    try:
        info = json.loads((schema.metadata or {})[b"huggingface"])["info"]
        features = info["features"]
        return [n for n in schema.names if features[n].get("_type") == "Image"]
    except (KeyError, TypeError, ValueError, AttributeError):
        return [
            field.name
            for field in schema
            if str(field.type).startswith("struct<") and "bytes" in str(field.type)
        ]


def _open(path: Path) -> tuple[Any, int]:
    """Schema and number of the groups of rows."""
    if path.suffix == ".arrow":
        return _group(path, 0, None).schema, 1
    try:
        file = _library().ParquetFile(path)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: not Parquet, or damaged ({error}).") from error
    return file.schema_arrow, file.num_row_groups


def _names(path: Path, group: int, image: str) -> list[str]:
    """The path in the column of images, of each row; often empty."""
    if path.suffix == ".arrow":
        column = _group(path, group, None)[image]
        return [cell.as_py() or "" for row in column for cell in [row["path"]]]
    found = _library().ParquetFile(path).read_row_group(group, [f"{image}.path"])
    return [(row or {}).get("path") or "" for row in found[image].to_pylist()]


def _cell(
    path: Path, group: int, row: int, column: str, columns: tuple[str, str]
) -> bytes:
    """The content of an image file in a table."""
    wanted = None if path.suffix == ".arrow" else columns
    value = _group(path, group, wanted)[column][row].as_py()
    if not value or not value.get("bytes"):
        raise SegError(f"{path}: row {row} of group {group} holds no `{column}`")
    return value["bytes"]


@lru_cache(maxsize=_KEPT_GROUPS)
def _group(path: Path, group: int, columns: tuple[str, str] | None) -> Any:
    """A group of rows; of Arrow files all rows, which stay in the file."""
    try:
        if path.suffix == ".arrow":
            import pyarrow as pa

            _library()
            return pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
        return _library().ParquetFile(path).read_row_group(group, list(columns or ()))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: a damaged table ({error}).") from error


def write(dataset: Dataset, out: Path) -> None:
    """Write an image folder with metadata a split, and id2label.json."""
    names = {str(i): name for i, name in enumerate(dataset.class_names)}
    write_text(out / "id2label.json", json.dumps(names, indent=2, ensure_ascii=False))
    for split, pairs in dataset.splits.items():
        folder = out / ("validation" if split == "val" else split)
        (folder / "images").mkdir(parents=True)
        rows = []
        for pair in pairs:
            image, mask = f"images/{pair.image.name}", f"masks/{pair.stem}.png"
            shutil.copyfile(pair.image, folder / image)
            write_bytes(folder / mask, encode_png(read_mask(pair.mask)))
            row = {"file_name": image, "mask_file_name": mask}
            rows.append(json.dumps(row, ensure_ascii=False) + "\n")
        write_text(folder / "metadata.jsonl", "".join(rows))


def _library() -> Any:
    try:
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError(
            "Parquet and Arrow files are read by pyarrow, which is not installed: "
            "pip install 'seglib[convert]'"
        ) from error
    return pyarrow.parquet
