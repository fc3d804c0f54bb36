"""Checks of the objects that masks show: specks, thin ones, and too few to score."""

from collections.abc import Mapping
from typing import Any

from seglib.data.dataset import Dataset
from seglib.data.problems import NOTE, Problem
from seglib.data.verification.objects import Objects
from seglib.data.verification.pair_checks import Inspection
from seglib.data.verification.split_facts import SplitFacts

OUTPUT_STRIDE = 4  # pixels to a cell of the scores of fpn, deeplab_v3_plus, segformer
SPECK = 4  # pixels: smaller objects are specks
_SPECKLED = 1 / 3  # of a class's objects are specks …
_MANY_SPECKS = 3  # … and so many a mask
_THIN = 0.75  # of a class's objects are thin, and so is half of its pixels
_LEAST_FOR_SCORES = 10  # masks of a split; with fewer all scores are chance
_FEW = 10  # objects, of which a share found has a standard error of up to 0.16
_SHOWN_NAMES = 8

Splits = Mapping[str, SplitFacts]


def class_objects(
    dataset: Dataset, facts: SplitFacts
) -> tuple[int, dict[int, Objects]]:
    """The number of masks that were measured, and the objects of each class in them."""
    measured, found = 0, dict[int, Objects]()
    for inspection in facts.measured():
        measured += 1
        for index, objects in (inspection.objects or {}).items():
            if index != dataset.ignore_index and index < dataset.num_classes:
                found[index] = found[index] + objects if index in found else objects
    return measured, found


def check_objects(dataset: Dataset, splits: Splits) -> list[Problem]:
    """Notes on classes of specks or thin objects, and on those with few to score.

    Args:
        dataset: with its classes.
        splits: all masks must be valid.
    """
    problems: list[Problem] = []
    for split, listed in splits.items():
        measured, found = class_objects(dataset, listed)
        if split == "train":
            problems += _specks(dataset, listed, found)
            problems += _thin(dataset, measured, found)
        elif len(listed) >= _LEAST_FOR_SCORES:
            problems += _few(dataset, split, listed, found)
    return problems


def describe_objects(dataset: Dataset, splits: Splits) -> dict[str, dict[str, Any]]:
    """The objects of each class by split, as JSON values.

    Areas are those of which a quarter, a half and three quarters of the objects have
    no more. Only classes that the measured masks show.
    """
    described = {}
    for split, listed in splits.items():
        measured, found = class_objects(dataset, listed)
        described[split] = {
            "masks": len(listed),
            "masks_measured": measured,
            "output_stride": OUTPUT_STRIDE,
            "classes": [
                {
                    "id": index,
                    "name": dataset.class_names[index],
                    "masks": objects.masks,
                    "objects": objects.count,
                    "objects_per_mask": round(objects.count / measured, 3),
                    "area_px": objects.area_quartiles(),
                    "area_share": [
                        float(f"{s:.3g}") for s in objects.share_quartiles()
                    ],
                    "median_thickness_px": objects.median_side,
                    "thinner_than_stride": round(
                        objects.thinner_than(OUTPUT_STRIDE), 4
                    ),
                    "specks": round(objects.smaller_than(SPECK), 4),
                    "at_edge": round(objects.at_edge / objects.count, 4),
                }
                for index, objects in sorted(found.items())
            ],
        }
    return described


def _specks(
    dataset: Dataset, listed: SplitFacts, found: Mapping[int, Objects]
) -> list[Problem]:
    speckled = {
        index: objects.smaller_than(SPECK)
        for index, objects in found.items()
        if objects.smaller_than(SPECK) >= _SPECKLED
        and objects.smaller_than(SPECK) * objects.count >= _MANY_SPECKS * objects.masks
    }
    if not speckled:
        return []

    def specks(inspection: Inspection) -> float:
        objects = inspection.objects or {}
        present = (objects[index] for index in speckled if index in objects)
        return sum(each.smaller_than(SPECK) * each.count for each in present)

    worst = max(listed.measured(), key=specks)
    reason = (
        f"specks: of fewer than {SPECK} pixels are "
        f"{_shares(dataset, speckled)} of the objects; {specks(worst):,.0f} of them "
        f"in {worst.pair.mask.name}"
    )
    remedy = (
        "If they come from drawing or from a conversion, give them the class around "
        "them: a network is asked for what no image shows."
    )
    path = dataset.root / "train_segmentation"
    return [Problem(path, reason, remedy, "specks", NOTE)]


def _thin(
    dataset: Dataset, measured: int, found: Mapping[int, Objects]
) -> list[Problem]:
    thin = {
        index: objects.thinner_than(OUTPUT_STRIDE)
        for index, objects in found.items()
        if objects.thinner_than(OUTPUT_STRIDE) >= _THIN
        and objects.pixels_thinner_than(OUTPUT_STRIDE) >= 0.5
    }
    if not thin:
        return []
    reason = (
        f"thinner than {OUTPUT_STRIDE} pixels, a cell of many networks' scores, are "
        f"{_shares(dataset, thin)} of the objects in {measured:,} masks"
    )
    remedy = (
        "Train a network whose scores are finer, `compact` (stride 2) or `unet` (1), "
        "or at a larger `image_height` and `image_width`, on crops of it."
    )
    path = dataset.root / "train_segmentation"
    return [Problem(path, reason, remedy, "thin-objects", NOTE)]


def _few(
    dataset: Dataset,
    split: str,
    listed: SplitFacts,
    found: Mapping[int, Objects],
) -> list[Problem]:
    few, shown_in = {}, listed.masks_of_ids()
    for index in range(dataset.num_classes):
        masks = shown_in.get(index, 0)
        objects = found.get(index)
        # Unmeasured, a mask that shows the class has one object at least.
        count = round(masks * (objects.count / objects.masks if objects else 1))
        if 0 < count < _FEW and index != dataset.ignore_index:
            few[index] = count
    if not few:
        return []
    shown = list(few.items())[:_SHOWN_NAMES]
    names = ", ".join(
        f"{index} ({dataset.class_names[index]}, {count})" for index, count in shown
    )
    reason = (
        f"fewer than {_FEW} objects in {split} of: {names}{_more(len(few))}; their "
        "score is largely chance"
    )
    remedy = f"Move some of their pairs to {split}, or do not compare models by them."
    path = dataset.root / f"{split}_segmentation"
    return [Problem(path, reason, remedy, "few-objects", NOTE)]


def _shares(dataset: Dataset, shares: Mapping[int, float]) -> str:
    largest = sorted(shares, key=lambda index: -shares[index])[:_SHOWN_NAMES]
    named = (f"{i} ({dataset.class_names[i]}, {shares[i]:.0%})" for i in largest)
    return ", ".join(named) + _more(len(shares))


def _more(count: int) -> str:
    return f" and {count - _SHOWN_NAMES} more" if count > _SHOWN_NAMES else ""
