"""Differences of two dataset versions by their listings; no file is downloaded."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from posixpath import splitext
from typing import Any

from seglib.storage.dvc.directory_hashes import Entry
from seglib.storage.files import is_left_behind, normal


@dataclass(frozen=True)
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
    old_files, new_files = _by_path(old), _by_path(new)
    before, after = _samples(old_files), _samples(new_files)
    gone = {sample: before[sample] for sample in before.keys() - after.keys()}
    come = {sample: after[sample] for sample in after.keys() - before.keys()}
    moved = _moved(gone, come)
    kept = before.keys() & after.keys()
    differing = {sample for sample in kept if before[sample] != after[sample]}
    masks = {s for s in differing if _mask(before[s]) != _mask(after[s])}
    images = {s for s in differing if _rest(before[s]) != _rest(after[s])}
    come_entries = [new_files[p] for p in _unlike(new_files, old_files)]
    gone_entries = [old_files[p] for p in _unlike(old_files, new_files)]
    return DatasetDiff(
        old_md5=old_md5,
        new_md5=new_md5,
        added=_sorted(come.keys() - {to for _, to in moved}),
        removed=_sorted(gone.keys() - {start for start, _ in moved}),
        changed_images=_sorted(images),
        changed_masks=_sorted(masks),
        moved=tuple(moved),
        other_files=tuple(
            sorted(
                {
                    entry.path
                    for entry in (*come_entries, *gone_entries)
                    if _sample_of(entry.path) is None
                }
            )
        ),
        bytes_added=_total(come_entries),
        bytes_removed=_total(gone_entries),
    )


def _by_path(entries: Iterable[Entry]) -> dict[str, Entry]:
    return {entry.path: entry for entry in entries}


def _unlike(files: Mapping[str, Entry], others: Mapping[str, Entry]) -> list[str]:
    """Paths that the other listing lacks, or has with another content."""
    return [
        path
        for path, entry in files.items()
        if path not in others or others[path].md5 != entry.md5
    ]


_Files = dict[str, str]  # folder such as train_images -> md5


def _samples(files: Mapping[str, Entry]) -> dict[Sample, _Files]:
    samples: dict[Sample, _Files] = {}
    for path, entry in files.items():
        if sample := _sample_of(path):
            samples.setdefault(sample, {})[path.split("/")[0]] = entry.md5
    return samples


def _sample_of(path: str) -> Sample | None:
    folder, *names = path.split("/")
    split, underscore, _ = folder.partition("_")
    if len(names) != 1 or not underscore or split not in ("train", "val", "test"):
        return None
    if is_left_behind(names[0]):
        return None
    return Sample(split, normal(splitext(names[0])[0]))


def _mask(files: _Files) -> list[str]:
    return [md5 for name, md5 in files.items() if name.endswith("_segmentation")]


def _rest(files: _Files) -> dict[str, str]:
    return {k: v for k, v in files.items() if not k.endswith("_segmentation")}


def _moved(
    gone: Mapping[Sample, _Files], come: Mapping[Sample, _Files]
) -> list[tuple[Sample, Sample]]:
    by_content: dict[tuple[str, ...], list[Sample]] = {}
    for sample in _sorted(gone):
        by_content.setdefault(tuple(sorted(gone[sample].values())), []).append(sample)
    moved = []
    for sample in _sorted(come):
        starts = by_content.get(tuple(sorted(come[sample].values())))
        if starts:
            moved.append((starts.pop(0), sample))
    return moved


def _sorted(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    return tuple(sorted(samples, key=lambda sample: (sample.split, sample.stem)))


def _total(entries: list[Entry]) -> int | None:
    sizes = [entry.size for entry in entries]
    return None if None in sizes else sum(size for size in sizes if size is not None)
