"""Checks between splits: sequences, drift, classes missing in one, layout."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from seglib.data.dataset import SPLITS, Dataset
from seglib.data.image_io import MIN_LEVELS, levels_left
from seglib.data.pairs import stems_of
from seglib.data.problems import NOTE, PROBLEM, UNSCORED, WARNING, Problem
from seglib.data.tree import Tree
from seglib.data.verification.similarity import sequence_sizes
from seglib.data.verification.split_facts import SplitFacts

Splits = Mapping[str, SplitFacts]

_LEAST_FOR_DRIFT = 10  # images in each split
_LARGE_EFFECT = 0.8  # standard deviations; Cohen 1988, "Statistical Power Analysis"
_VISIBLE = 10  # of 256 levels of grey
_DRIFT = 3  # times
_NOTABLE_SHARE = 0.005  # of the pixels
_SHOWN_NAMES = 8


def check_sequences(dataset: Dataset) -> list[Problem]:
    """A warning where frames of one sequence, by their names, are in two splits."""
    frames = {
        split: sequence_sizes(partial(stems_of, dataset.splits[split]))
        for split in SPLITS
        if split in dataset.splits
    }
    if len(set().union(*frames.values())) < 2:
        return []  # one beginning for all names says nothing
    problems = []
    train = frames.get("train", {})
    for split in ("val", "test"):
        shared = sorted(train.keys() & frames.get(split, {}).keys())
        if not shared:
            continue
        affected = sum(train[name] for name in shared)
        total = len(dataset.splits["train"])
        shown = ", ".join(
            f"{name}… ({train[name]:,} in train, {frames[split][name]:,} in {split})"
            for name in shared[:_SHOWN_NAMES]
        )
        more = len(shared) - _SHOWN_NAMES
        reason = (
            f"leakage: {affected:,} of {total:,} train images are, by their names, of "
            f"sequences that {split} has, too: {shown}"
            f"{f' and {more:,} more' if more > 0 else ''}"
        )
        remedy = (
            "Frames of one video are alike, and flatter the score: keep each sequence "
            "in one split (`seglib convert --split 0.8/0.1/0.1 --group-by sequence`). "
            "If the names mean something else, ignore this finding."
        )
        path = dataset.root / f"{split}_images"
        problems.append(Problem(path, reason, remedy, "sequence-leakage", WARNING))
    return problems


def check_drift(dataset: Dataset, splits: Splits) -> list[Problem]:
    """Notes where a split is brighter than train, or shows other shares of classes.

    Args:
        dataset: with its classes.
        splits: All masks must be valid.
    """
    problems: list[Problem] = []
    train = splits.get("train")
    for split in ("val", "test"):
        other = splits.get(split)
        if min(len(train or ()), len(other or ())) < _LEAST_FOR_DRIFT:
            continue
        assert train
        assert other
        problems += _brightness_drift(dataset.root, train, split, other)
        problems += _class_drift(dataset, train, split, other)
    return problems


def _brightness_drift(
    root: Path,
    train: SplitFacts,
    split: str,
    other: SplitFacts,
) -> list[Problem]:
    ours, theirs = (each.images["brightness"].copy() for each in (train, other))
    spread = float(np.sqrt((ours.var(ddof=1) + theirs.var(ddof=1)) / 2))
    apart = float(theirs.mean() - ours.mean())
    if abs(apart) < _LARGE_EFFECT * spread or abs(apart) < _VISIBLE:
        return []
    word = "brighter" if apart > 0 else "darker"
    reason = (
        f"{split} is {word} than train: mean grey {theirs.mean():.0f} and "
        f"{ours.mean():.0f}, {abs(apart) / spread:.1f} standard deviations apart"
    )
    remedy = "Train with brightness like that, or with more `color_jitter`."
    path = root / f"{split}_images"
    return [Problem(path, reason, remedy, "brightness-drift", NOTE)]


def _class_drift(
    dataset: Dataset,
    train: SplitFacts,
    split: str,
    other: SplitFacts,
) -> list[Problem]:
    ours, theirs = (_shares(dataset, found) for found in (train, other))
    strange = [
        f"{index} ({dataset.class_names[index]}, {ours[index]:.2%} and "
        f"{theirs[index]:.2%})"
        for index in range(dataset.num_classes)
        if min(ours[index], theirs[index]) > 0
        and max(ours[index], theirs[index]) >= _NOTABLE_SHARE
        and max(ours[index] / theirs[index], theirs[index] / ours[index]) >= _DRIFT
    ]
    if not strange:
        return []
    more = len(strange) - _SHOWN_NAMES
    reason = (
        f"shares of pixels differ {_DRIFT} times or more between train and {split}: "
        f"{', '.join(strange[:_SHOWN_NAMES])}{f' and {more} more' if more > 0 else ''}"
    )
    remedy = "Scores on such a split say little of classes that are rare there."
    path = dataset.root / f"{split}_segmentation"
    return [Problem(path, reason, remedy, "class-drift", NOTE)]


def _shares(dataset: Dataset, facts: SplitFacts) -> np.ndarray:
    """Share of each class in the counted pixels: float (num_classes,)."""
    pixels = np.zeros(dataset.num_classes)
    for index, count in facts.total_ids().items():
        if index != dataset.ignore_index and index < dataset.num_classes:
            pixels[index] = count
    return pixels / max(1.0, pixels.sum())


def check_classes(dataset: Dataset, splits: Splits) -> list[Problem]:
    """Warnings for classes that cannot be learnt, notes for those without a score.

    Args:
        dataset: with its classes.
        splits: All masks must be valid, or the counts would be wrong.
    """
    every = set(range(dataset.num_classes)) - {dataset.ignore_index}
    seen = {split: every & facts.total_ids().keys() for split, facts in splits.items()}
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
            path = dataset.root / f"{split}_segmentation"
            problems.append(Problem(path, reason, UNSCORED, "class-not-scored", NOTE))
    return problems


def check_ignored(dataset: Dataset) -> list[Problem]:
    """A warning if the ignored id is the id of a class."""
    index = dataset.ignore_index
    if index is None or index >= dataset.num_classes:
        return []
    reason = f"{_names(dataset, {index})} is ignored, and a class, too"
    remedy = "Its pixels are not counted. Pass an --ignore-index that is no class."
    return [Problem(dataset.root, reason, remedy, "class-ignored", WARNING)]


def check_depths(dataset: Dataset, splits: Splits) -> list[Problem]:
    """A warning for 16-bit images that lose detail, as the upper 8 bits are read."""
    problems = _depth(dataset.root, "images", [each.images for each in splits.values()])
    for name in dataset.others:
        others = [e.others[name] for e in splits.values() if name in e.others]
        problems += _depth(dataset.root, f"files of `{name}`", others)
    return problems


def check_palettes(dataset: Dataset, splits: Splits) -> list[Problem]:
    """A note on masks with a palette, and a warning if the colour tables differ."""
    tables: dict[bytes, list[Path]] = {}  # the first mask of each, in their order
    counts: Counter[bytes] = Counter()
    for facts in splits.values():
        for inspection, count in facts.first_of_each_table():
            tables.setdefault(inspection.palette, []).append(inspection.pair.mask)
            counts[inspection.palette] += count
    if not tables:
        return []
    count = sum(map(len, splits.values()))
    reason = f"{counts.total():,} of {count:,} masks have a palette"
    remedy = "Their indices are read as class ids; their colours are not looked at."
    problems = [Problem(dataset.root, reason, remedy, "palette-masks", NOTE)]
    # Writers cut the table after the last colour used: one table may begin another.
    longest = max(tables, key=len)
    odd = [table for table in tables if not longest.startswith(table)]
    if odd:
        differ = sum(counts[table] for table in odd)
        reason = (
            f"its colour table differs from that of {tables[longest][0].name} "
            f"({differ:,} masks differ): one index may stand for two classes"
        )
        remedy = (
            "Convert colours to class ids, or save all masks with one colour table."
        )
        path = tables[odd[0]][0]
        problems.append(Problem(path, reason, remedy, "palettes-differ", WARNING))
    return problems


def check_layout(dataset: Dataset, wanted: Iterable[str], tree: Tree) -> list[Problem]:
    """Warnings for folders of images that are not read, and for missing splits."""
    parts = ("images", "segmentation", *dataset.others)
    expected = {f"{split}_{part}" for split in SPLITS for part in parts}
    warnings: list[Problem] = []
    for folder in tree.folders(dataset.root):
        if folder.name in expected:
            warnings += map(_unread, tree.folders(folder))
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


def _depth(root: Path, what: str, files: Sequence[np.ndarray]) -> list[Problem]:
    deep = [int(n) for heads in files for n in heads["deepest"][heads["deepest"] > 0]]
    if not deep:
        return []
    count = sum(int((heads["size"][:, 0] > 0).sum()) for heads in files)
    largest = max(deep)
    levels = levels_left(largest)
    reason = (
        f"{len(deep):,} of {count:,} {what} have 16 bits a sample, of which the "
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


def _unread(folder: Path) -> Problem:
    reason = "a folder that is not read"
    remedy = "Expected files in <split>_images/ and <split>_segmentation/, no folders."
    return Problem(folder, reason, remedy, "folder-not-read", WARNING)


def _names(dataset: Dataset, ids: set[int]) -> str:
    shown = [f"{i} ({dataset.class_names[i]})" for i in sorted(ids)[:_SHOWN_NAMES]]
    more = len(ids) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
