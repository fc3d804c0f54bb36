"""Checks of the ids in masks: out of range, one class only, interpolated.

Where a dataset states no number of classes, its masks tell it.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from seglib.config import MAX_CLASSES
from seglib.data.dataset import (
    Dataset,
    Scan,
    default_class_names,
    default_palette,
    wrong_number,
)
from seglib.data.dataset_yaml import DESCRIPTION
from seglib.data.problems import NOTE, PROBLEM, WARNING, Problem
from seglib.data.verification.pair_checks import Inspection
from seglib.data.verification.split_facts import SplitFacts

VOID_IDS = (255, 65535)
_RAMP_SHARE = 0.12  # between drawn (≤ 0.03) and interpolated (≥ 0.18); see ramp_share
_MIN_STRETCH = 10  # the least factor that makes a handful of ids visible
_MANY_IDS = 8  # stray ids of one mask that no legend has
_SHOWN_IDS = 5
_IDS = 1 << 16


def check_ids(
    splits: Mapping[str, SplitFacts], *, num_classes: int, ignore_index: int | None
) -> Iterator[Problem]:
    """Problems and warnings about the ids of all decoded masks."""
    # The whole dataset's ids tell stretched ones from void; one mask has too few.
    everywhere = {i for facts in splits.values() for i in facts.total_ids()}
    stretched = _stretched(everywhere - {ignore_index}, num_classes)
    for facts in splits.values():
        suspicious = stray_ids(
            facts, num_classes=num_classes, ignore_index=ignore_index
        )
        suspicious |= facts.masks["ramps"] > _RAMP_SHARE
        suspicious |= facts.count_ids(np.arange(_IDS) != ignore_index) <= 1
        suspicious &= facts.masks["size"][:, 0] > 0
        for inspection in facts.chosen(suspicious):
            yield from _check_mask(inspection, num_classes, ignore_index, stretched)


def stray_ids(
    facts: SplitFacts, *, num_classes: int, ignore_index: int | None
) -> np.ndarray:
    """Which masks have ids of no class that are not ignored: bool (pairs,)."""
    ids = np.arange(_IDS)
    return facts.count_ids((ids >= num_classes) & (ids != ignore_index)) > 0


def _check_mask(
    inspection: Inspection, num_classes: int, ignore_index: int | None, stretched: str
) -> Iterator[Problem]:
    path, ids = inspection.pair.mask, inspection.ids
    stray = {i: n for i, n in ids.items() if i >= num_classes and i != ignore_index}
    if stray:
        blurred = inspection.ramps > _RAMP_SHARE
        reason = f"ids outside 0 … {num_classes - 1}: {_list_ids(stray, ids)}"
        remedy = stretched or _explain(
            stray, ids, num_classes, ignore_index, blurred=blurred
        )
        yield Problem(path, reason, remedy, "ids-out-of-range")
    else:
        yield from _check_strokes(path, inspection.ramps)
        counted = [i for i in ids if i != ignore_index]
        yield from _check_variety(path, counted, num_classes)


def infer_classes(
    scan: Scan, splits: Mapping[str, SplitFacts]
) -> tuple[Dataset, list[Problem]]:
    """The dataset with as many classes as its masks show: the largest id + 1."""
    dataset = scan.dataset
    split = "train" if splits.get("train") else next(iter(splits))
    ids = splits[split].total_ids()
    count = min(guess_num_classes(ids, dataset.ignore_index), MAX_CLASSES)
    fits = scan.has_palette and len(dataset.palette) == count
    inferred = replace(
        dataset,
        num_classes=count,
        class_names=default_class_names(count),
        palette=dataset.palette if fits else default_palette(count),
    )
    problems = [_inference(dataset.root, split, count=count, seen=len(ids))]
    if scan.has_palette and not fits:
        received = f"{len(dataset.palette)} colours"
        problems.append(wrong_number(dataset.root, received, count))
    return inferred, problems


def total_ids(inspections: Iterable[Inspection]) -> Counter[int]:
    """Pixels of each id over all masks."""
    total: Counter[int] = Counter()
    for inspection in inspections:
        total.update(inspection.ids)
    return total


def guess_num_classes(ids: Mapping[int, int], ignore_index: int | None) -> int:
    """The number of classes of a dataset that states none: the largest id + 1.

    The largest value of 8 and of 16 bits is void in most datasets, and not taken for a
    class unless the id before it is there, too.
    """
    classes = {i for i in ids if i != ignore_index}
    classes -= {i for i in VOID_IDS if i - 1 not in classes}
    return max(classes, default=0) + 1


def check_count(root: Path, num_classes: int, found: Collection[str]) -> list[Problem]:
    """A problem for a dataset with one class, unless other problems explain it.

    Args:
        found: the kinds of those problems.
    """
    explained = {"classes-inferred", "colours-for-ids", "damaged-file", "unfit-file"}
    explained |= {"ids-out-of-range", "unreadable-file"}
    if num_classes > 1 or not explained.isdisjoint(found):
        return []
    reason = "the dataset has a single class; a model needs two, background counted"
    remedy = (
        "Check that the masks were drawn, and that the ignored id is no class. If they "
        "are right, pass --num-classes 2."
    )
    return [Problem(root, reason, remedy, "too-few-classes")]


def _inference(root: Path, split: str, *, count: int, seen: int) -> Problem:
    if count > 2 * seen + 8:  # too many gaps for a list of classes
        reason = (
            f"the number of classes was not given, and only {seen} of the ids up to "
            f"{count - 1} occur in {split}"
        )
        remedy = "Pass --num-classes, or make the masks' pixels consecutive class ids."
        return Problem(root, reason, remedy, "classes-inferred", PROBLEM)
    reason = (
        f"the number of classes was not given: {count}, by the largest id in {split}"
    )
    remedy = (
        f"Pass --num-classes, or write {DESCRIPTION}; if {count - 1} is void, pass "
        f"--ignore-index {count - 1}."
    )
    return Problem(root, reason, remedy, "classes-inferred", NOTE)


def _check_strokes(path: Path, ramps: float) -> list[Problem]:
    if ramps <= _RAMP_SHARE:
        return []
    reason = (
        f"looks like an anti-aliased mask: {ramps:.0%} of the changes of id along its "
        "rows are ramps through ids in between"
    )
    remedy = "Draw without anti-aliasing; resize with nearest neighbour only."
    return [Problem(path, reason, remedy, "anti-aliased-mask", WARNING)]


def _check_variety(path: Path, counted: list[int], num_classes: int) -> list[Problem]:
    if not counted:
        reason = "every pixel is ignored"
        remedy = "Remove the pair: nothing can be learnt from it or scored on it."
        return [Problem(path, reason, remedy, "all-ignored", WARNING)]
    if len(counted) == 1 and num_classes > 1:
        reason = f"every counted pixel is of class {counted[0]}"
        remedy = "Check that the mask was drawn; an empty export looks like this."
        return [Problem(path, reason, remedy, "one-class", WARNING)]
    return []


def _list_ids(stray: Mapping[int, int], ids: Mapping[int, int]) -> str:
    total = sum(ids.values())
    largest = sorted(stray, key=lambda i: (-stray[i], i))[:_SHOWN_IDS]
    shown = ", ".join(
        f"{i} ({stray[i]:,} px, {_percent(stray[i] / total)})" for i in sorted(largest)
    )
    more = len(stray) - len(largest)
    return f"{shown} and {more} more" if more else shown


def _stretched(ids: Collection[int], num_classes: int) -> str:
    """The remedy where all ids were multiplied to be looked at, else nothing."""
    factor = math.gcd(*ids)
    if factor < _MIN_STRETCH or max(ids) // factor >= max(num_classes, 2):
        return ""
    void = " (or, if 255 is void, pass --ignore-index 255)" if factor == 255 else ""
    return (
        f"Every id of the dataset is a multiple of {factor}, as if stretched to be "
        f"looked at: divide the ids by {factor}{void}."
    )


def _explain(
    stray: Mapping[int, int],
    ids: Mapping[int, int],
    num_classes: int,
    ignore_index: int | None,
    *,
    blurred: bool,
) -> str:
    """The likeliest cause of stray ids, and what to do about it."""
    if blurred or len(stray) >= _MANY_IDS:
        return (
            "Looks like an anti-aliased mask: draw without anti-aliasing, resize with "
            "nearest neighbour only, and save as PNG."
        )
    if void := next((i for i in VOID_IDS if i in stray), 0):
        remedy = f"{void} looks like void: {_ignore(void, ignore_index)}."
        others = " Pass a larger --num-classes if the others are classes."
        return remedy + others if len(stray) > 1 else remedy
    larger = f"pass --num-classes {max(stray) + 1}"
    if set(stray) == {num_classes} and 0 not in ids:
        return f"Ids seem to start at 1: subtract 1, or {larger}."
    if set(stray) == {num_classes}:
        ignore = _ignore(num_classes, ignore_index)
        return f"If {num_classes} is void, {ignore}; if it is a class, {larger}."
    if max(stray) < 2 * num_classes:
        return f"If these are classes, {larger}."
    return (
        "Looks like a colour-coded mask turned to grey: make it again from the "
        f"colours; if these are classes, {larger}."
    )


def _ignore(void: int, ignore_index: int | None) -> str:
    if ignore_index is None:
        return f"pass --ignore-index {void}"
    return f"write {ignore_index}, the ignored id, in its place"


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else "< 0.1%"
