"""The number of classes, inferred from masks where a dataset states none."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from seglib.config import MAX_CLASSES
from seglib.data.dataset import (
    Dataset,
    Scan,
    default_class_names,
    default_palette,
    wrong_number,
)
from seglib.data.dataset_yaml import DESCRIPTION
from seglib.data.problems import NOTE, PROBLEM, Problem
from seglib.data.verification.mask_checks import guess_num_classes, total_ids
from seglib.data.verification.pair_checks import Inspection


def infer_classes(
    scan: Scan, inspections: Mapping[str, Sequence[Inspection]]
) -> tuple[Dataset, list[Problem]]:
    """The dataset with as many classes as its masks show: the largest id + 1."""
    dataset = scan.dataset
    split = "train" if inspections.get("train") else next(iter(inspections))
    ids = total_ids(inspections[split])
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
