"""Pixels by class id of a version's masks: counted, and one object on the remote.

`seglib/class-counts/N/<md5>.json.gz`, where N is MASK_DECODING, belongs to the version
`<md5>.dir`. It lies outside of `files/`, so that DVC and `dvc gc` leave it alone. Ids
are those in the masks, whatever a dataset calls or ignores, so a mask's counts follow
from its bytes and its md5 names them in any version.
"""

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from posixpath import splitext
from typing import Any

from seglib.data.dataset import SPLITS
from seglib.data.file_formats import max_file_bytes
from seglib.data.image_io import IMAGE_SUFFIXES, MASK_DECODING, decode_mask
from seglib.data.manifest import PairFacts
from seglib.data.verification.file_checks import count_ids
from seglib.errors import DatasetError, SegError
from seglib.storage.backends import BrokenOffError, MissingObjectError, Remote
from seglib.storage.backends.local import is_own_folder
from seglib.storage.fetching import fetch
from seglib.storage.files import is_left_behind, read_file
from seglib.storage.hashes import Entry

_FORMAT_VERSION = 1
_MAX_BYTES = 64 << 20  # of the object: millions of masks
_MAX_TEXT_BYTES = 256 << 20  # of the object unpacked
_MAX_THREADS = 16  # each holds a decoded mask

Counts = Mapping[int, int]  # id -> pixels, of the ids that occur
MaskCounts = Mapping[str, Counts]  # md5 of the mask -> its counts
Progress = Callable[[int, int], None]  # done, total


def masks_of(entries: Iterable[Entry]) -> dict[str, tuple[Entry, ...]]:
    """The masks among a dataset's files, by split, in the splits' order."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        folder, *names = entry.path.split("/")
        split = folder.removesuffix("_segmentation")
        if split != folder and len(names) == 1 and _is_image(names[0]):
            found.setdefault(split, []).append(entry)
    return {split: tuple(found[split]) for split in SPLITS if split in found}


def verified_counts(
    pairs: Mapping[str, Iterable[PairFacts]], ignore_index: int | None
) -> dict[str, Counts]:
    """The counts of the masks of a verification or a manifest, by md5."""
    counts: dict[str, Counts] = {}
    for facts in (facts for found in pairs.values() for facts in found):
        ids = {i: pixels for i, pixels in enumerate(facts.class_pixels) if pixels}
        if ignore_index is not None and facts.ignored_pixels:
            ids[ignore_index] = facts.ignored_pixels
        counts[facts.mask_md5] = ids
    return counts


def count_masks(
    masks: Sequence[Entry],
    data_md5: str,
    remote: str,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> tuple[dict[str, Counts], list[str]]:
    """Fetch some masks of a version, each checked, and count their pixels by id.

    Args:
        masks: files of the version.
        data_md5: as for `fetch`; so are the others.

    Returns:
        The counts by md5, and a line `path: reason` for each mask that cannot be
        counted.

    Raises:
        SegError: the remote cannot be reached, or refuses.
    """
    by_path = {mask.path: md5 for md5, mask in {m.md5: m for m in masks}.items()}
    problems: list[str] = []
    if not by_path:
        return {}, []

    def bring() -> Path:
        return fetch(data_md5, remote, paths=by_path, cache=cache, progress=progress)

    try:
        root = bring()
    except DatasetError as error:  # some objects are missing; the others are here
        problems += error.problems
        for problem in error.problems:
            by_path.pop(problem.partition(": ")[0], None)
        root = bring()
    counts: dict[str, Counts] = {}
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
        results = pool.map(
            lambda item: _count(root / item[0], item[1]), by_path.items()
        )
        for (path, md5), found in zip(by_path.items(), results, strict=True):
            if isinstance(found, str):
                problems.append(f"{path}: {found}")
            else:
                counts[md5] = found
    return counts, problems


def counts_address(source: Remote, data_md5: str) -> str:
    """The address of a version's object, for messages."""
    return source.name(_key(data_md5))


def read_class_counts(source: Remote, data_md5: str) -> dict[str, Counts]:
    """The counts of a version's masks, by md5; empty if there is no object.

    Raises:
        SegError: it is damaged, or the remote cannot be reached or refuses.
    """
    key, content = _key(data_md5), bytearray()
    try:
        for chunk in source.chunks(key):
            content += chunk
            if len(content) > _MAX_BYTES:
                raise SegError("too large")
        return _unpack(data_md5, bytes(content))
    except MissingObjectError:
        return {}
    except BrokenOffError as error:
        raise SegError(f"{source.name(key)}: the connection broke off.") from error
    except SegError as error:
        raise SegError(f"{source.name(key)}: {error}") from error


def write_class_counts(source: Remote, data_md5: str, counts: MaskCounts) -> None:
    """Store the counts of a version's masks, in place of the object that is there.

    Raises:
        SegError: the remote cannot be reached or refuses, or is no DVC remote but the
            dataset's own folder, which is not written to.
    """
    if is_own_folder(source):
        raise SegError(
            f"{source.root}: the dataset's own folder, which is not written to. Name a "
            "DVC remote."
        )
    source.write(_key(data_md5), _pack(data_md5, counts))


def _key(data_md5: str) -> str:
    name = data_md5.removesuffix(".dir")
    return f"seglib/class-counts/{MASK_DECODING}/{name}.json.gz"


def _pack(data_md5: str, counts: MaskCounts) -> bytes:
    """The object's content; equal counts give equal bytes."""
    plain = {md5: dict(counts[md5]) for md5 in sorted(counts)}
    body = json.dumps(plain, separators=(",", ":")).encode()
    head = json.dumps(_head(data_md5, body)).encode()
    return gzip.compress(head + b"\n" + body, mtime=0)


def _unpack(data_md5: str, content: bytes) -> dict[str, Counts]:
    try:
        unpacker = zlib.decompressobj(wbits=31)
        text = unpacker.decompress(content, _MAX_TEXT_BYTES)
        if not unpacker.eof:
            raise ValueError("cut short, or too large")
        head, body = text.split(b"\n", 1)
        expected, received = _head(data_md5, body), json.loads(head)
        if received != expected:
            raise ValueError(f"expected {expected}, received {received}")
        return {
            md5: {int(index): int(pixels) for index, pixels in ids.items()}
            for md5, ids in json.loads(body).items()
        }
    except (ValueError, AttributeError, TypeError, RecursionError, zlib.error) as error:
        message = f"not the class counts of {data_md5}: {error}"
        raise SegError(message) from error


def _head(data_md5: str, body: bytes) -> dict[str, Any]:
    return {
        "format_version": _FORMAT_VERSION,
        "decoding": MASK_DECODING,
        "of": data_md5,
        "sha256": hashlib.sha256(body).hexdigest(),
    }


def _is_image(name: str) -> bool:
    return not is_left_behind(name) and splitext(name)[1].lower() in IMAGE_SUFFIXES


def _count(path: Path, md5: str) -> Counts | str:
    """The pixels of each id of a mask, or why they cannot be counted."""
    try:
        encoded = read_file(path, max_bytes=max_file_bytes())
        if hashlib.md5(encoded, usedforsecurity=False).hexdigest() != md5:
            return "was changed while it was read"
        return count_ids(decode_mask(encoded, name=path.name))
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except SegError as error:
        return str(error)
