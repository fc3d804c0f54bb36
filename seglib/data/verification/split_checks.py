"""Checks between pairs: duplicates, leakage, classes missing in a split."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from seglib.data.dataset import SPLITS, Dataset
from seglib.data.image_io import MIN_LEVELS, levels_left
from seglib.data.problems import NOTE, PROBLEM, WARNING, Problem
from seglib.data.verification.pair_checks import FileFacts, Inspection
from seglib.storage.files import is_left_behind

Inspections = Mapping[str, Sequence[Inspection]]
_SHOWN_NAMES = 8


def check_duplicates(inspections: Inspections) -> list[Problem]:
    """Problems for images with equal pixels, inside a split and across splits."""
    copies: dict[str, list[tuple[str, Inspection]]] = defaultdict(list)
    for split, found in inspections.items():
        for inspection in found:
            if inspection.image:
                copies[inspection.image.pixels].append((split, inspection))
    warnings = []
    for (split, first), *others in copies.values():
        for other_split, other in others:
            warnings.append(_duplicate(split, first, other_split, other))
    return warnings


def check_classes(dataset: Dataset, inspections: Inspections) -> list[Problem]:
    """Warnings for classes that cannot be learnt, notes for those without a score.

    Args:
        dataset: with its classes.
        inspections: by split. All masks must be valid, or the counts would be wrong.
    """
    every = set(range(dataset.num_classes)) - {dataset.ignore_index}
    seen = {
        split: every & {i for each in found for i in each.ids}
        for split, found in inspections.items()
    }
    anywhere = set().union(*seen.values())
    problems = []
    if "train" in seen and (missing := every - anywhere):
        opened_all = seen.keys() == dataset.splits.keys()
        where = "any split" if opened_all else " or ".join(seen)
        reason = f"no pixel in {where} of {_names(dataset, missing)}"
        remedy = "Check --num-classes and the class names against the masks."
        problems.append(Problem(dataset.root, reason, remedy, "class-absent", WARNING))
    if unseen := anywhere - seen.get("train", anywhere):
        where = " and ".join(s for s in SPLITS if seen.get(s, set()) & unseen)
        reason = f"present only in {where}: {_names(dataset, unseen)}"
        remedy = "A model cannot learn them: move some of their pairs to train."
        path = dataset.root / "train_segmentation"
        problems.append(Problem(path, reason, remedy, "class-not-in-train", WARNING))
    for split in ("val", "test"):
        if unscored := anywhere - seen.get(split, anywhere):
            reason = f"absent from {split}: {_names(dataset, unscored)}"
            remedy = "Such classes have no score there, and the mean leaves them out."
            path = dataset.root / f"{split}_segmentation"
            problems.append(Problem(path, reason, remedy, "class-not-scored", NOTE))
    return problems


def check_ignored(dataset: Dataset) -> list[Problem]:
    """A warning if the ignored id is the id of a class."""
    index = dataset.ignore_index
    if index is None or index >= dataset.num_classes:
        return []
    reason = f"{_names(dataset, {index})} is ignored, and a class, too"
    remedy = "Its pixels are not counted. Pass an --ignore-index that is no class."
    return [Problem(dataset.root, reason, remedy, "class-ignored", WARNING)]


def check_depths(dataset: Dataset, inspections: Inspections) -> list[Problem]:
    """A warning for 16-bit images that lose detail, as the upper 8 bits are read."""
    every = [i for found in inspections.values() for i in found]
    images = [each.image for each in every if each.image]
    problems = _depth(dataset.root, "images", images)
    for name in dataset.others:
        others = [each.others[name] for each in every if name in each.others]
        problems += _depth(dataset.root, f"files of `{name}`", others)
    return problems


def check_palettes(dataset: Dataset, inspections: Inspections) -> list[Problem]:
    """A note on masks with a palette, and a warning if the colour tables differ."""
    masks = [i for found in inspections.values() for i in found if i.palette]
    if not masks:
        return []
    count = sum(map(len, inspections.values()))
    reason = f"{len(masks):,} of {count:,} masks have a palette"
    remedy = "Their indices are read as class ids; their colours are not looked at."
    problems = [Problem(dataset.root, reason, remedy, "palette-masks", NOTE)]
    # Writers cut the table after the last colour used: one table may begin another.
    longest = max(masks, key=lambda i: len(i.palette))
    odd = [i for i in masks if not longest.palette.startswith(i.palette)]
    if odd:
        reason = (
            f"its colour table differs from that of {longest.pair.mask.name} "
            f"({len(odd):,} masks differ): one index may stand for two classes"
        )
        remedy = (
            "Convert colours to class ids, or save all masks with one colour table."
        )
        path = odd[0].pair.mask
        problems.append(Problem(path, reason, remedy, "palettes-differ", WARNING))
    return problems


def check_layout(dataset: Dataset, wanted: Iterable[str]) -> list[Problem]:
    """Warnings for folders of images that are not read, and for missing splits."""
    parts = ("images", "segmentation", *dataset.others)
    expected = {f"{split}_{part}" for split in SPLITS for part in parts}
    warnings: list[Problem] = []
    for folder in _folders(dataset.root):
        if folder.name in expected:
            warnings += map(_unread, _folders(folder))
        elif folder.name.lower().endswith(("_images", "_segmentation", "_masks")):
            warnings.append(_unread(folder))
    uses = {"train": "training", "val": "choosing the best epoch"}
    for split, use in uses.items():
        if split in wanted and split not in dataset.splits:
            reason = f"no {split} split"
            remedy = f"Add {split}_images/ and {split}_segmentation/: {use} needs them."
            warnings.append(
                Problem(dataset.root, reason, remedy, "split-missing", WARNING)
            )
    return warnings


def _depth(root: Path, what: str, files: Sequence[FileFacts]) -> list[Problem]:
    deep = [facts.deepest for facts in files if facts.deepest]
    if not deep:
        return []
    largest = max(deep)
    levels = levels_left(largest)
    reason = (
        f"{len(deep):,} of {len(files):,} {what} have 16 bits a sample, of which the "
        f"upper 8 are read: with values up to {largest:,} they keep {levels} of 256 "
        "levels"
    )
    factor = 65535 // largest
    remedy = (
        f"Multiply all values by {factor}, here and wherever the model is used."
        if factor > 1
        else "Where the lower bits matter, scale what matters to 0 … 65535."
    )
    severity = PROBLEM if levels < MIN_LEVELS else WARNING
    return [Problem(root, reason, remedy, "sixteen-bits", severity)]


def _duplicate(
    split: str, first: Inspection, other_split: str, other: Inspection
) -> Problem:
    same_mask = first.mask and other.mask and first.mask.pixels == other.mask.pixels
    but = "" if same_mask else ", but their masks differ"
    name = f"{split}_images/{first.pair.image.name}"
    if split == other_split:
        reason, kind = f"the same pixels as {name}{but}", "duplicate"
        remedy = "Remove one of the two pairs: it counts twice."
    else:
        reason = f"leakage: the same pixels as {name} of another split{but}"
        remedy = (
            f"Remove the pair from {split} or {other_split}: it flatters the score."
        )
        kind = "leakage"
    return Problem(other.pair.image, reason, remedy, kind, WARNING)


def _folders(folder: Path) -> list[Path]:
    found = (p for p in folder.iterdir() if p.is_dir() and not is_left_behind(p.name))
    return sorted(found)


def _unread(folder: Path) -> Problem:
    reason = "a folder that is not read"
    remedy = "Expected files in <split>_images/ and <split>_segmentation/, no folders."
    return Problem(folder, reason, remedy, "folder-not-read", WARNING)


def _names(dataset: Dataset, ids: set[int]) -> str:
    shown = [f"{i} ({dataset.class_names[i]})" for i in sorted(ids)[:_SHOWN_NAMES]]
    more = len(ids) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
