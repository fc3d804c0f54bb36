"""The listing at the start of verification, and classes inferred from masks."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seglib.config import MAX_CLASSES
from seglib.data.dataset import Dataset, default_palette, scan_dataset
from seglib.data.dataset_yaml import DESCRIPTION, read_description
from seglib.data.pairing import Fault
from seglib.data.verification.mask_checks import guess_num_classes, total_ids
from seglib.data.verification.pair_checks import Inspection
from seglib.data.verification.problems import NOTE, PROBLEM, Problem

_REMEDIES = {  # beginning of the listing's reason -> kind, remedy
    "no such folder": ("missing-folder", "Create it, or remove its counterpart."),
    "image without mask": ("image-without-mask", "Add the mask, or remove the image."),
    "mask without image": ("mask-without-image", "Add the image, or remove the mask."),
    "the split": ("empty-split", "Put pairs in, or remove its two folders."),
    "the folder cannot be listed": ("missing-folder", "Check its rights."),
    "not an image file": ("not-an-image", "Move it out of the folder."),
    "cannot be read": ("unreadable-file", "Put a file in its place, or remove it."),
    "same stem as": ("same-stem", "Rename it together with its mask, or remove it."),
}
_WITHOUT = re.compile(r"(\w+) without (\w+);")
_DESCRIPTION = (
    "description",
    f"Make {DESCRIPTION}, --num-classes and the masks agree.",
)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A listed dataset; no file is opened yet."""

    dataset: Dataset
    problems: tuple[Problem, ...]
    knows_classes: bool  # else `dataset` has a stand-in; see `infer_classes`
    has_palette: bool


def list_dataset(root: Path, options: Mapping[str, Any]) -> Listing:
    """List a dataset folder without opening its files.

    Args:
        options: of `scan_dataset`.

    Raises:
        DatasetError: no folder, no split, or a dataset.yaml that cannot be understood.
    """
    scan = scan_dataset(root, **options)
    return Listing(
        dataset=scan.dataset,
        problems=tuple(map(_to_problem, scan.problems)),
        knows_classes=scan.knows_classes,
        has_palette=bool(read_description(root).get("palette")),
    )


def infer_classes(
    listing: Listing, inspections: Mapping[str, Sequence[Inspection]]
) -> tuple[Dataset, list[Problem]]:
    """The dataset with as many classes as its masks show: the largest id + 1."""
    dataset = listing.dataset
    split = "train" if inspections.get("train") else next(iter(inspections))
    ids = total_ids(inspections[split])
    count = min(guess_num_classes(ids, dataset.ignore_index), MAX_CLASSES)
    fits = listing.has_palette and len(dataset.palette) == count
    inferred = replace(
        dataset,
        num_classes=count,
        class_names=tuple(f"class_{index}" for index in range(count)),
        palette=dataset.palette if fits else default_palette(count),
    )
    problems = [_inference(dataset.root, split, count=count, seen=len(ids))]
    if listing.has_palette and not fits:
        reason = f"{len(dataset.palette)} colours for {count} classes"
        path, (kind, remedy) = dataset.root / DESCRIPTION, _DESCRIPTION
        problems.append(Problem(path, reason, remedy, kind))
    return inferred, problems


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


def _to_problem(fault: Fault) -> Problem:
    path, reason = fault
    if (without := _WITHOUT.match(reason)) and "mask" not in without.groups():
        remedy = f"Add the {without[2]}, or remove the {without[1]}."
        return Problem(path, reason, remedy, "incomplete-sample")
    for start, (kind, remedy) in _REMEDIES.items():
        if reason.startswith(start):
            return Problem(path, reason, remedy, kind)
    kind, remedy = _DESCRIPTION
    return Problem(path, reason, remedy, kind)
