"""Hugging Face `datasets`: image folders with metadata, and Parquet or Arrow files.

Columns of images are told by the features that the library writes into its files; the
one that is named as a mask is the mask. Read with pyarrow, which that library uses.
"""

import csv
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from seglib.data.conversion.foreign import (
    ForeignDataset,
    Format,
    ReadOptions,
    mask_at,
    optional_library,
)
from seglib.data.conversion.masks import MaskReader, read_by_list
from seglib.data.conversion.source import Source, split_of
from seglib.data.conversion.writing import copied
from seglib.data.dataset import Dataset
from seglib.data.image_io import write_image
from seglib.errors import DatasetError, SegError, in_a_line
from seglib.storage.atomic_write import write_text
from seglib.storage.files import normal

_FOLDERS = {"val": "validation"}
_METADATA = ("metadata.jsonl", "metadata.csv")
_TABLES = (".parquet", ".arrow")
_END = "file_name"  # of the columns of `metadata` that name files
_MASKS = re.compile(r"mask|label|annotation|segmentation|target|ground_truth|gt")
_KEPT_GROUPS = 4  # decoded groups of rows


def _recognises(source: Source) -> bool:
    """Whether metadata, or Parquet or Arrow files, are there."""
    return any(p.suffix in _TABLES or p.name in _METADATA for p in source.files)


def _read(source: Source, options: ReadOptions) -> ForeignDataset:
    """Read the metadata of image folders, or else all tables."""
    dataset, reader = read_by_list(source, options)
    documents = [path for path in source.files if path.name in _METADATA]
    for path in documents:
        _add_listed(dataset, source, path, reader)
    if not documents:
        _add_tables(dataset, source, reader)
    return dataset


def _add_listed(
    dataset: ForeignDataset, source: Source, path: Path, reader: MaskReader
) -> None:
    where = source.relative(path)
    for number, row in enumerate(_rows(path), start=1):
        place = f"{where}, row {number}"
        names = [key for key in row if key and key.endswith(_END)]
        image, mask = _choose(names, f"{path}: row {number}")
        wanted = [str(row[name]) for name in (image, mask) if row[name]]
        try:
            files = [source.inside(path.parent, name) for name in wanted]
        except SegError as error:
            dataset.lose(error, place)
            continue
        missing = [file.name for file in files if not file.is_file()]
        if missing or not row[image]:
            told = f"{missing[0]} is not there" if missing else "no image is named"
            dataset.lose(told, place)
            continue
        draw = mask_at(files[1], reader) if len(files) > 1 else None
        split = source.split_of_folder(path)
        dataset.add(source.stem(files[0]), split, files[0], draw)


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


def _choose(columns: list[str], where: str) -> tuple[str, str]:
    """The columns of the image and of the mask."""
    masks = [name for name in columns if _MASKS.search(name)]
    images = [name for name in columns if name not in masks]
    if len(masks) != 1 or len(images) != 1:
        raise DatasetError(
            f"{where}: expected one column of images, and one whose name tells a mask, "
            f"such as `mask` or `annotation`. Received: {', '.join(columns) or 'none'}."
        )
    return images[0], masks[0]


def _add_tables(dataset: ForeignDataset, source: Source, reader: MaskReader) -> None:
    tables, rows = _Tables(), Counter[str]()
    for path in (path for path in source.files if path.suffix in _TABLES):
        schema, groups = tables.open(path)
        columns = image, mask = _choose(_image_columns(schema), str(path))
        below = source.stem(path)
        split = split_of(path.name) or source.split_of_folder(path)
        for group in range(groups):
            for row, name in enumerate(tables.names(path, group, image)):
                stem = normal(Path(name.replace("\\", "/")).stem)
                if not stem:  # a number at the end would look like a frame of a video
                    stem = f"{rows[split]:06d}_{split or 'row'}"
                rows[split] += 1
                read = partial(tables.content, path, group, row, columns)
                decode = partial(reader, name=f"{below}, {stem}")
                draw = partial(_decoded, partial(read, mask), decode)
                dataset.add(f"{below}/{stem}", split, partial(read, image), draw)


def _decoded(
    read: Callable[[], bytes], decode: Callable[[bytes], np.ndarray], *_: Any
) -> np.ndarray:
    return decode(read())


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


class _Tables:
    """Parquet and Arrow files, of which the groups of rows read last are kept."""

    def __init__(self) -> None:
        what = "Parquet and Arrow files are read"
        self._arrow = optional_library("pyarrow", what)
        self._parquet = optional_library("pyarrow.parquet", what)
        self._group = lru_cache(maxsize=_KEPT_GROUPS)(self._read_group)

    def open(self, path: Path) -> tuple[Any, int]:
        """Schema and number of the groups of rows."""
        if path.suffix == ".arrow":
            return self._group(path, 0, None).schema, 1
        with self._damage_told(path):
            file = self._parquet.ParquetFile(path)
            return file.schema_arrow, file.num_row_groups

    def names(self, path: Path, group: int, image: str) -> list[str]:
        """The path in the column of images, of each row; often empty."""
        table = self._group(path, group, (f"{image}.path",))
        with self._damage_told(path):
            paths = [chunk.field("path").to_pylist() for chunk in table[image].chunks]
            return [path or "" for part in paths for path in part]

    def content(
        self, path: Path, group: int, row: int, columns: tuple[str, str], column: str
    ) -> bytes:
        """An image file in a table."""
        table = self._group(path, group, columns)
        with self._damage_told(path):
            value = table[column][row].as_py()
        if not value or not isinstance(value.get("bytes"), bytes):
            raise SegError(f"{path}: row {row} of group {group} holds no `{column}`")
        content: bytes = value["bytes"]
        return content

    def _read_group(
        self, path: Path, group: int, columns: tuple[str, ...] | None
    ) -> Any:
        """A group of rows; of Arrow files all rows, which stay in the file."""
        with self._damage_told(path):
            if path.suffix != ".arrow":
                file = self._parquet.ParquetFile(path)
                return file.read_row_group(group, list(columns or ()))
            file = self._arrow.memory_map(str(path))
            table = self._arrow.ipc.open_stream(file).read_all()
            table.validate(full=True)
            return table

    @contextmanager
    def _damage_told(self, path: Path) -> Iterator[None]:
        damage = (OSError, ValueError, KeyError, self._arrow.ArrowException)
        try:
            yield
        except damage as error:
            told = in_a_line(error)
            raise DatasetError(f"{path}: a damaged table ({told}).") from error


def _write(dataset: Dataset, out: Path) -> None:
    """Write an image folder with metadata a split, and id2label.json."""
    names = {str(i): name for i, name in enumerate(dataset.class_names)}
    write_text(out / "id2label.json", json.dumps(names, indent=2, ensure_ascii=False))
    folders = {split: out / _FOLDERS.get(split, split) for split in dataset.splits}
    rows: dict[str, str] = defaultdict(str)
    for split, pair, ids in copied(dataset, lambda split: folders[split] / "images"):
        mask = f"masks/{pair.stem}.png"
        write_image(folders[split] / mask, ids)
        row = {"file_name": f"images/{pair.image.name}", "mask_file_name": mask}
        rows[split] += json.dumps(row, ensure_ascii=False) + "\n"
    for split, text in rows.items():
        write_text(folders[split] / "metadata.jsonl", text)


HUGGING_FACE = Format(
    "train/metadata.jsonl with file_name and mask_file_name; or *.parquet; or *.arrow",
    _recognises,
    _read,
    _write,
)
