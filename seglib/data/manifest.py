"""The manifest of a verified dataset: one small file that later steps read.

It names every file, its md5 and its class histogram, and the place of the bytes: a
remote and a data hash, or a plain folder.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from seglib.data.dataset import SPLITS, Dataset
from seglib.data.pairs import Inputs, Pair
from seglib.errors import DatasetError, SegError, UsageError, unknown
from seglib.storage.atomic_write import write_chunks
from seglib.storage.documents import MAX_LISTING_BYTES, read_json

MANIFEST = "manifest.json"
FORMAT_VERSION = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class InputFacts:
    """A further input of a pair. The path is relative to the dataset's root, posix."""

    path: str
    size_bytes: int
    md5: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PairFacts:
    """One pair that was opened. Paths are relative to the dataset's root, posix."""

    stem: str
    image: str
    mask: str
    height: int
    width: int
    class_pixels: tuple[int, ...]  # [id] -> pixels, num_classes long
    ignored_pixels: int
    image_size_bytes: int
    mask_size_bytes: int
    image_md5: str
    mask_md5: str
    others: Mapping[str, InputFacts] = field(default_factory=dict)

    @property
    def file_sizes(self) -> dict[str, int]:
        """Bytes of each file of the pair, by path."""
        sizes = {self.image: self.image_size_bytes, self.mask: self.mask_size_bytes}
        return sizes | {other.path: other.size_bytes for other in self.others.values()}


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A verified dataset: its bytes are `data_md5` at `remote`, else in `root`."""

    num_classes: int
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    ignore_index: int | None
    splits: Mapping[str, Sequence[PairFacts]]
    ok: bool = True
    data_md5: str = ""
    remote: str = ""
    root: str = ""
    others: Inputs = field(default_factory=dict)  # inputs beside the image

    def class_pixels(self, split: str) -> tuple[int, ...]:
        """Pixels of each class over all masks of a split, `[id]`."""
        totals = [0] * self.num_classes
        for pair in self.pairs(split):
            for index, pixels in enumerate(pair.class_pixels):
                totals[index] += pixels
        return tuple(totals)

    def pairs(self, split: str) -> Sequence[PairFacts]:
        """The pairs of a split; "auto" is test where there is one, else val."""
        return self.splits[self.split_name(split)]

    def split_name(self, split: str) -> str:
        """The split itself, or the one that "auto" stands for."""
        name = "test" if "test" in self.splits else "val"
        name = name if split == "auto" else split
        if name in self.splits:
            return name
        if name in SPLITS:
            raise UsageError(
                f"The dataset has no split `{name}`. It has: {', '.join(self.splits)}."
            )
        raise unknown("split", name, (*self.splits, "auto"))


def read_manifest(manifest: Path) -> Manifest:
    """Read the manifest of a folder that `write_verification` wrote.

    Args:
        manifest: the folder, or its manifest.json.

    Raises:
        SegError: no such file, not a manifest, or of a version from the future.
    """
    path = Path(manifest)
    path = path / MANIFEST if path.is_dir() else path
    document = read_json(
        path,
        remedy="`seglib verify DATA --out FOLDER` writes one.",
        max_bytes=MAX_LISTING_BYTES,
    )
    version = document.get("format_version") if isinstance(document, dict) else None
    if version != FORMAT_VERSION:
        raise SegError(
            f"{path}: expected a manifest of format_version {FORMAT_VERSION}. "
            f"Received: format_version={version}. Verify the data again."
        )
    try:
        return TypeAdapter(Manifest).validate_python(document)
    except ValidationError as error:
        raise SegError(
            f"{path}: not a whole manifest ({error.errors()[0]['loc']}: "
            f"{error.errors()[0]['msg']}). Verify the data again."
        ) from error


def open_dataset(
    manifest: Path,
    *,
    splits: tuple[str, ...] | None = None,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Open a verified dataset, fetching the files that are not cached.

    Args:
        manifest: the folder with manifest.json, or that file.
        splits: only these are fetched and listed; "auto" is test where there is one,
            else val. Default: all.
        cache: where fetched files are kept. Default: that of `seglib.storage`.
        progress: called with the files that are here and those that are wanted.

    Raises:
        DatasetError: the dataset was verified with problems, or its files are not
            those that were verified.
        UsageError: an unknown split.
        SegError: the manifest or the remote cannot be read.
    """
    facts = read_manifest(manifest)
    if not facts.ok:
        raise DatasetError(
            f"{manifest}: the dataset was verified and has problems; see its "
            "report.html. Mend them and verify again."
        )
    wanted = set(facts.splits if splits is None else map(facts.split_name, splits))
    chosen = {split: facts.splits[split] for split in facts.splits if split in wanted}
    if facts.remote:
        from seglib.storage.fetching import fetch  # late: only a remote needs boto3

        paths = [
            path
            for found in chosen.values()
            for pair in found
            for path in pair.file_sizes
        ]
        root = fetch(
            facts.data_md5, facts.remote, paths=paths, cache=cache, progress=progress
        )
    else:
        root = Path(facts.root)
        _check_folder(root, chosen)
    return Dataset(
        root=root,
        splits={
            split: tuple(_to_pair(root, facts) for facts in pairs)
            for split, pairs in chosen.items()
        },
        num_classes=facts.num_classes,
        class_names=facts.class_names,
        palette=facts.palette,
        ignore_index=facts.ignore_index,
        data_md5=facts.data_md5,
        others=facts.others,
    )


def _to_pair(root: Path, facts: PairFacts) -> Pair:
    others = {name: root / other.path for name, other in facts.others.items()}
    return Pair(facts.stem, root / facts.image, root / facts.mask, others)


def write_manifest(
    manifest: Manifest, out: Path, *, findings: Mapping[str, Any] | None = None
) -> Path:
    """Write `out`/manifest.json; the same dataset gives the same bytes.

    `findings` are further JSON values by key, such as warnings.
    """
    head = {each.name: getattr(manifest, each.name) for each in fields(manifest)}
    head |= dict(findings or {}) | {"format_version": FORMAT_VERSION}
    splits = head.pop("splits")
    path = out / MANIFEST
    write_chunks(path, (text.encode() for text in _texts(head, splits)))
    return path


def _texts(
    head: Mapping[str, Any], splits: Mapping[str, Sequence[PairFacts]]
) -> Iterator[str]:
    yield "{\n"
    for key in sorted(head):
        yield f"{json.dumps(key)}: "
        yield from json.JSONEncoder(sort_keys=True).iterencode(head[key])
        yield ",\n"
    yield '"splits": {\n'
    listed = [split for split in SPLITS if split in splits]
    for split in listed:
        yield f" {json.dumps(split)}: [\n"
        # One pair a line, so that two manifests can be compared by `diff`.
        for number, pair in enumerate(splits[split]):
            row = {name: getattr(pair, name) for name in PairFacts.__slots__}
            row["others"] = {name: asdict(each) for name, each in pair.others.items()}
            yield ",\n" if number else ""
            yield f"  {json.dumps(row, sort_keys=True)}"
        yield "\n ],\n" if split != listed[-1] else "\n ]"
    yield "\n}\n}\n"


def _check_folder(root: Path, chosen: Mapping[str, Sequence[PairFacts]]) -> None:
    problems = []
    for pair in (pair for pairs in chosen.values() for pair in pairs):
        for name, size_bytes in pair.file_sizes.items():
            path = root / name
            if not path.is_file():
                problems.append(f"{path}: no such file any more")
            elif path.stat().st_size != size_bytes:
                problems.append(
                    f"{path}: {path.stat().st_size} bytes, was {size_bytes}"
                )
    if problems:
        raise DatasetError(
            f"{root}: not the files that were verified. Run `seglib verify {root}` "
            "again.",
            problems,
        )
