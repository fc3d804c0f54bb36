"""Differences of two dataset versions by their listings; no file is downloaded."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from posixpath import splitext
from typing import Any, NamedTuple

from seglib.storage.files import is_left_behind, normal
from seglib.storage.hashes import Entry


@dataclass(frozen=True, order=True)
class Sample:
    """An image with its mask and whatever else shares its stem, in one split."""

    split: str
    stem: str


@dataclass(frozen=True)
class DatasetDiff:
    """The samples that changed, and the other files that did.

    `bytes_added` and `bytes_removed` count new and removed files, a changed file in
    both; None if the remote does not tell sizes.
    """

    old_md5: str
    new_md5: str
    added: tuple[Sample, ...]
    removed: tuple[Sample, ...]
    changed_images: tuple[Sample, ...]
    changed_masks: tuple[Sample, ...]
    moved: tuple[tuple[Sample, Sample], ...]  # the same files under another name
    other_files: tuple[str, ...]  # added, removed or changed, such as dataset.yaml
    bytes_added: int | None = None
    bytes_removed: int | None = None

    @property
    def is_empty(self) -> bool:
        return self.old_md5 == self.new_md5

    def to_json(self) -> dict[str, Any]:
        return {"format_version": 2, **asdict(self)}


def diff(
    old_md5: str, old: Iterable[Entry], new_md5: str, new: Iterable[Entry]
) -> DatasetDiff:
    """Compare two listings, sample by sample.

    Args:
        old_md5: the hash of the old version, `<md5>.dir`.
        old: its files; with sizes, if bytes are to be counted.
        new_md5: the hash of the new version.
        new: its files.
    """
    old_files = {entry.path: entry for entry in old}
    new_files = {entry.path: entry for entry in new}
    before, after = _samples(old_files.values()), _samples(new_files.values())
    gone, come = before.keys() - after.keys(), after.keys() - before.keys()
    moved = _moved({s: before[s] for s in gone}, {s: after[s] for s in come})
    kept = sorted(before.keys() & after.keys())
    arrived, left = _unlike(new_files, old_files), _unlike(old_files, new_files)
    others = {e.path for e in (*arrived, *left) if _sample_of(e.path) is None}
    return DatasetDiff(
        old_md5=old_md5,
        new_md5=new_md5,
        added=tuple(sorted(come - {to for _, to in moved})),
        removed=tuple(sorted(gone - {start for start, _ in moved})),
        changed_images=tuple(s for s in kept if before[s].rest != after[s].rest),
        changed_masks=tuple(s for s in kept if before[s].masks != after[s].masks),
        moved=moved,
        other_files=tuple(sorted(others)),
        bytes_added=_total(arrived),
        bytes_removed=_total(left),
    )


class _Files(NamedTuple):
    """The md5 of a sample's files by folder, such as train_images."""

    masks: dict[str, str]
    rest: dict[str, str]

    def contents(self) -> tuple[str, ...]:
        return tuple(sorted((*self.masks.values(), *self.rest.values())))


def _unlike(files: Mapping[str, Entry], others: Mapping[str, Entry]) -> list[Entry]:
    """Files that the other listing lacks, or has with another content."""
    return [
        entry
        for path, entry in files.items()
        if path not in others or others[path].md5 != entry.md5
    ]


def _samples(entries: Iterable[Entry]) -> dict[Sample, _Files]:
    samples: dict[Sample, _Files] = {}
    for entry in entries:
        if sample := _sample_of(entry.path):
            files = samples.setdefault(sample, _Files({}, {}))
            folder = entry.path.split("/")[0]
            is_mask = folder.endswith("_segmentation")
            (files.masks if is_mask else files.rest)[folder] = entry.md5
    return samples


def _sample_of(path: str) -> Sample | None:
    folder, *names = path.split("/")
    split, underscore, _ = folder.partition("_")
    if len(names) != 1 or not underscore or split not in ("train", "val", "test"):
        return None
    if is_left_behind(names[0]):
        return None
    return Sample(split, normal(splitext(names[0])[0]))


def _moved(
    gone: Mapping[Sample, _Files], come: Mapping[Sample, _Files]
) -> tuple[tuple[Sample, Sample], ...]:
    by_content: dict[tuple[str, ...], list[Sample]] = {}
    for sample in sorted(gone):
        by_content.setdefault(gone[sample].contents(), []).append(sample)
    moved = []
    for sample in sorted(come):
        if starts := by_content.get(come[sample].contents()):
            moved.append((starts.pop(0), sample))
    return tuple(moved)


def _total(entries: list[Entry]) -> int | None:
    sizes = [entry.size for entry in entries if entry.size is not None]
    return sum(sizes) if len(sizes) == len(entries) else None
