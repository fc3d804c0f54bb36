"""From masks to the pixels of their ids: verified ones, and ones that are fetched."""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from posixpath import splitext

from seglib.data.dataset import SPLITS
from seglib.data.headers import max_file_bytes
from seglib.data.image_io import IMAGE_SUFFIXES, decode_mask
from seglib.data.manifest import PairFacts
from seglib.data.verification.pair_checks import count_ids
from seglib.data.versions.record import Counts
from seglib.errors import DatasetError, SegError
from seglib.storage import Entry, fetch
from seglib.storage.files import is_left_behind, read_file

_MAX_THREADS = 16  # each holds a decoded mask

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
    """The counts of the masks that a verification or a manifest knows, by md5."""
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
    """Fetch some masks of a version, each checked, and count them.

    Args:
        masks: files of the version.
        data_md5: as for `fetch`; so are the others.

    Returns:
        The counts by md5, and the masks that cannot be counted, `path: reason`.

    Raises:
        SegError: the remote cannot be reached, or refuses.
    """
    by_md5 = {mask.md5: mask for mask in masks}
    by_path = {mask.path: md5 for md5, mask in by_md5.items()}
    problems: list[str] = []

    def bring() -> Path:
        return fetch(data_md5, remote, paths=by_path, cache=cache, progress=progress)

    if not by_path:
        return {}, []
    try:
        root = bring()
    except DatasetError as error:  # of some objects; the others have come
        problems += error.problems
        for problem in error.problems:
            by_path.pop(problem.partition(": ")[0], None)
        root = bring()
    counts: dict[str, Counts] = {}
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
        for path, found in zip(
            by_path,
            pool.map(lambda p: _count(root / p, by_path[p]), by_path),
            strict=True,
        ):
            if isinstance(found, str):
                problems.append(f"{path}: {found}")
            else:
                counts[by_path[path]] = found
    return counts, problems


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
