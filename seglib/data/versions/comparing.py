"""Two versions of a dataset, compared: their samples, their bytes and their classes.

By their listings, their dataset.yaml and what is known of their masks: no image is
downloaded, and a mask only on demand.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from seglib.config import DataConfig
from seglib.data.dataset import config_options
from seglib.data.dataset_yaml import DESCRIPTION, parse_description
from seglib.data.versions.changes import ClassDiff
from seglib.data.versions.counting import Progress, count_masks, masks_of
from seglib.data.versions.known import find_counts, try_to_keep
from seglib.data.versions.shares import Vocabulary, changed_masks, compare_classes
from seglib.errors import SegError, unknown
from seglib.storage import (
    DatasetDiff,
    Entry,
    Remote,
    diff,
    manifest_entries,
    open_remote,
    read_file,
    with_sizes,
)

Counting = Literal["none", "changed", "all"]


@dataclass(frozen=True)
class VersionDiff:
    """What changed. `classes` is None where nothing did."""

    samples: DatasetDiff
    classes: ClassDiff | None

    def to_json(self) -> dict[str, Any]:
        """As docs/data-format.md describes it."""
        classes = None
        if self.classes:
            masks = zip(self.classes.masks, self.classes.known, strict=True)
            old, new = ({"masks": m, "known": known} for m, known in masks)
            classes = {"old": old, "new": new, **asdict(self.classes)}
        return {**self.samples.to_json(), "classes": classes}


def compare_versions(
    old_md5: str,
    new_md5: str,
    remote: str,
    *,
    count: Counting | str = "none",
    config: DataConfig | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> VersionDiff:
    """Compare two versions of a dataset that lie on one remote.

    Args:
        old_md5: the hash of the one, `<md5>.dir`.
        new_md5: of the other.
        remote: as for `fetch`.
        count: which masks are fetched and counted if nobody knows their classes: none,
            those that came, went or changed, or all.
        config: what the versions' dataset.yaml do not say of classes.
        cache: as for `fetch`.
        progress: called with the masks that are here and those that are wanted.

    Raises:
        UsageError: `count` is none of these.
        SegError: the remote cannot be read, or a listing is missing or damaged.
    """
    if count not in get_args(Counting):
        raise unknown("choice of masks to count", count, get_args(Counting))
    old, new = (
        _Version(md5, manifest_entries(md5, remote)) for md5 in (old_md5, new_md5)
    )
    samples = _compare_samples(old, new, remote)
    if samples.is_empty:
        return VersionDiff(samples, None)
    source = open_remote(remote)
    every = {mask.md5 for version in (new, old) for mask in version.masks}
    counts, notes = find_counts(every, (new_md5, old_md5), source, cache)
    if count != "none":
        chosen = every
        if count == "changed":
            chosen = changed_masks(old.split_masks, new.split_masks)
        for version in (new, old):
            found, problems = count_masks(
                [m for m in version.masks if m.md5 in chosen - counts.keys()],
                version.data_md5,
                remote,
                cache=cache,
                progress=progress,
            )
            try_to_keep(found, cache)
            counts, notes = counts | found, notes + problems
    vocabularies = []
    for version in (old, new):
        vocabulary, problem = _vocabulary(source, version, config or DataConfig())
        vocabularies.append(vocabulary)
        notes += [problem] * bool(problem)
    classes = compare_classes(
        old.split_masks,
        new.split_masks,
        counts,
        (vocabularies[0], vocabularies[1]),
        notes=notes,
    )
    return VersionDiff(samples, classes)


class _Version:
    """One of the two: its hash, its files, and the masks among them."""

    def __init__(self, data_md5: str, entries: Iterable[Entry]):
        self.data_md5 = data_md5
        self.entries = tuple(entries)
        by_split = masks_of(self.entries)
        self.masks = [mask for masks in by_split.values() for mask in masks]
        self.split_masks = {
            split: [mask.md5 for mask in masks] for split, masks in by_split.items()
        }


def _compare_samples(old: _Version, new: _Version, remote: str) -> DatasetDiff:
    """Only of what differs is the size asked for."""
    shared = {*old.entries} & {*new.entries}
    before, after = (
        shared.union(with_sizes({*version.entries} - shared, remote))
        for version in (old, new)
    )
    return diff(old.data_md5, before, new.data_md5, after)


def _vocabulary(
    source: Remote, version: _Version, config: DataConfig
) -> tuple[Vocabulary, str]:
    """What a version calls its ids, and what kept it from being read."""
    given, problem = config_options(config), ""
    described: dict[str, Any] = {}
    entry = next((e for e in version.entries if e.path == DESCRIPTION), None)
    try:
        if entry:
            described = parse_description(read_file(source, entry))
    except SegError as error:
        problem = f"{version.data_md5}: {error}"
    ignore_index = given["ignore_index"]
    if ignore_index is None:
        ignore_index = described.get("ignore_index")
    names = given["class_names"] or tuple(described.get("class_names") or ())
    vocabulary = Vocabulary(
        class_names=names,
        num_classes=given["num_classes"] or described.get("num_classes") or 0,
        ignore_index=ignore_index,
    )
    return vocabulary, problem
