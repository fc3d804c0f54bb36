"""Two versions of a dataset, compared: their samples, their bytes and their classes.

The comparison reads the versions' listings, their dataset.yaml and the class counts
beside them. It downloads no image, and masks on demand only.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seglib.config import DataConfig
from seglib.data.dataset import config_options
from seglib.data.dataset_yaml import DESCRIPTION, parse_description
from seglib.data.verification.verified import Verification
from seglib.data.versions.class_changes import ClassDiff, Vocabulary, compare_classes
from seglib.data.versions.class_counts import (
    Counts,
    Progress,
    count_masks,
    counts_address,
    masks_of,
    read_class_counts,
    verified_counts,
    write_class_counts,
)
from seglib.data.versions.sample_diff import DatasetDiff, diff
from seglib.errors import SegError
from seglib.storage.backends import Remote
from seglib.storage.backends.local import is_own_folder
from seglib.storage.hashes import Entry
from seglib.storage.listings import manifest_entries, read_entry, with_sizes
from seglib.storage.remotes import open_remote


@dataclass(frozen=True)
class VersionDiff:
    """What changed. `classes` is None if the versions are equal."""

    samples: DatasetDiff
    classes: ClassDiff | None

    def to_json(self) -> dict[str, Any]:
        """The documented JSON object (docs/data-format.md)."""
        classes = asdict(self.classes) if self.classes else None
        return {**self.samples.to_json(), "classes": classes}


@dataclass(frozen=True)
class Counted:
    """The outcome of counting a version; masks of equal content count once."""

    masks: int
    known: int  # masks whose pixels are counted
    counted: int  # of them just now
    place: str  # address of the object with the counts
    written: bool  # just now
    problems: tuple[str, ...]  # a line `path: reason` for each uncountable mask


def compare_versions(
    old_md5: str,
    new_md5: str,
    remote: str,
    *,
    count: bool = False,
    config: DataConfig | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> VersionDiff:
    """Compare two versions of a dataset that lie on one remote.

    Args:
        count: whether to fetch and count the masks without counts on the remote.
        config: classes of versions without a dataset.yaml.
        progress: called with (masks fetched, masks to fetch); the others are those of
            `fetch`.

    Raises:
        SegError: the remote cannot be read, or a listing is missing or damaged.
    """
    old, new = (
        _Version(md5, manifest_entries(md5, remote)) for md5 in (old_md5, new_md5)
    )
    samples = _compare_samples(old, new, remote)
    if samples.is_empty:
        return VersionDiff(samples, None)
    source = open_remote(remote)
    counts: dict[str, Counts] = {}
    notes: list[str] = []
    for data_md5 in (new_md5, old_md5):
        found, problems = _stored(source, data_md5)
        counts, notes = counts | found, notes + problems
    for version in (new, old) if count else ():
        missing = [mask for mask in version.masks if mask.md5 not in counts]
        found, problems = count_masks(
            missing, version.data_md5, remote, cache=cache, progress=progress
        )
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


def count_version(
    data_md5: str,
    remote: str,
    *,
    push: bool = True,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Counted:
    """Count the pixels by class of a version's masks, and store them on the remote.

    Fetches the masks that the object on the remote does not know, and no image.

    Args:
        push: whether to write the object, unless it is complete.
        progress: called with (masks fetched, masks to fetch); the others are those of
            `fetch`.

    Raises:
        SegError: the remote cannot be read, or not be written to.
    """
    source = open_remote(remote)
    masks = _Version(data_md5, manifest_entries(data_md5, remote)).masks
    wanted = {mask.md5 for mask in masks}
    stored, _ = _stored(source, data_md5)  # one that is damaged will be replaced
    missing = [mask for mask in masks if mask.md5 not in stored]
    counted, problems = count_masks(
        missing, data_md5, remote, cache=cache, progress=progress
    )
    if push and counted:
        write_class_counts(source, data_md5, stored | counted)
    return Counted(
        masks=len(wanted),
        known=len(wanted & {*stored, *counted}),
        counted=len(counted),
        place=counts_address(source, data_md5),
        written=push and bool(counted),
        problems=tuple(problems),
    )


def record_counts(verification: Verification, data_md5: str, remote: str) -> str:
    """Store the class counts of a verified version on its remote.

    A remote that cannot be written to is no error: the verification stays valid.

    Returns:
        The outcome as a sentence; "" if there was nothing to do.
    """
    counts = verified_counts(verification.pairs, verification.dataset.ignore_index)
    if not verification.ok:
        return ""
    try:
        source = open_remote(remote)
        if (
            is_own_folder(source)
            or counts.keys() <= _stored(source, data_md5)[0].keys()
        ):
            return ""
        write_class_counts(source, data_md5, counts)
    except SegError as error:
        return f"The class counts are not stored beside the data: {error}"
    return f"The class counts are stored in {counts_address(source, data_md5)}."


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


def _stored(source: Remote, data_md5: str) -> tuple[dict[str, Counts], list[str]]:
    """The counts on the remote, and why they cannot be read."""
    try:
        return read_class_counts(source, data_md5), []
    except SegError as error:
        return {}, [str(error)]


def _compare_samples(old: _Version, new: _Version, remote: str) -> DatasetDiff:
    """Ask the remote for the sizes of files that differ, and of no others."""
    shared = {*old.entries} & {*new.entries}
    before, after = (
        shared.union(with_sizes({*version.entries} - shared, remote))
        for version in (old, new)
    )
    return diff(old.data_md5, before, new.data_md5, after)


def _vocabulary(
    source: Remote, version: _Version, config: DataConfig
) -> tuple[Vocabulary, str]:
    """The names of a version's ids, and why its dataset.yaml cannot be read."""
    given, problem = config_options(config), ""
    described: dict[str, Any] = {}
    entry = next((e for e in version.entries if e.path == DESCRIPTION), None)
    try:
        if entry:
            described = parse_description(read_entry(source, entry))
    except SegError as error:
        problem = f"{version.data_md5}: {error}"
    ignore_index = given["ignore_index"]
    if ignore_index is None:
        ignore_index = described.get("ignore_index")
    vocabulary = Vocabulary(
        class_names=given["class_names"] or tuple(described.get("class_names") or ()),
        num_classes=given["num_classes"] or described.get("num_classes") or 0,
        ignore_index=ignore_index,
    )
    return vocabulary, problem
