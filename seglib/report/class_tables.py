"""The tables of the evaluation page: classes, mistakes, calibration, slices."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seglib.data.image_io import encode_png
from seglib.drawing.plots import row_shares
from seglib.evaluation.counts import FEW_IMAGES
from seglib.evaluation.metrics import Scores
from seglib.report.pages import NO_VALUE, data_uri, percent

MOST_CLASSES = 400  # in the tables; more make the page too large
_MOST_CELLS = 30  # classes; more make the heat map's table wider than the page
_WIDE_CELLS = 16  # classes; more leave no room for numbers in the cells
_MISTAKES = 10
_MIN_MISTAKE = 0.02  # of the true class's pixels
# Of the heat map: hits and mistakes, as style.css has them of a light page.
_HIT, _MISTAKE = (37, 99, 201), (194, 65, 12)


def class_rows(
    metrics: Mapping[str, Any],
    scores: Scores,
    colours: Sequence[tuple[int, int, int]],
) -> list[dict[str, Any]]:
    """The rows of the table of classes, at most `MOST_CLASSES`."""
    intervals = metrics["intervals"].get("class_iou", {})
    boundary, images = metrics["class_boundary_iou"], metrics["class_images"]
    carriers = metrics["class_carriers"]
    rows = []
    named = zip(metrics["class_names"], colours, strict=True)
    for index, (name, colour) in enumerate(named):
        others = {
            "boundary IoU": boundary.get(name),
            "Dice": scores.class_dice[index],
            "recall": scores.class_recall[index],
            "precision": scores.class_precision[index],
        }
        share, in_masks = scores.class_share[index], images[name] > 0
        rows.append(
            {
                "name": name,
                "colour": colour,
                "iou": number(metrics["class_iou"][name]),
                "iou_text": score_text(metrics["class_iou"][name]),
                "ends": _ends(intervals.get(name)),
                "interval": interval_text(intervals.get(name)),
                "others": [
                    {"value": number(value), "text": score_text(value)}
                    for value in others.values()
                ],
                "share_value": float(np.nan_to_num(share)),
                "share": percent(share),
                "images": images[name],
                "in_masks": in_masks,
                "wrongly": int(scores.predicted[index]) if not in_masks else 0,
                "carriers": carriers[name],
                "is_thin": in_masks and carriers[name] < FEW_IMAGES,
            }
        )
    return rows[:MOST_CLASSES]


def calibration(
    found: Mapping[str, Any],
    names: Sequence[str],
    colours: Sequence[tuple[int, int, int]],
) -> dict[str, Any]:
    """The reliability diagram and its table of classes."""
    total = sum(one["pixels"] for one in found["bins"])
    width = 1 / len(found["bins"])
    bars = [
        {
            "left": one["above"],
            "accuracy": one["accuracy"],
            "confidence": one["confidence"],
            "share": one["pixels"] / total,
            "text": f"confidence {one['confidence']:.3f}, right "
            f"{one['accuracy']:.3f}, {percent(one['pixels'] / total)} of the pixels",
        }
        for one in found["bins"]
        if one["pixels"]
    ]
    classes = [
        {
            "name": name,
            "colour": colour,
            "confidence": score_text(found["class_confidence"][name]),
            "accuracy": score_text(found["class_accuracy"][name]),
            "apart": found["class_confidence"][name] - found["class_accuracy"][name],
        }
        for name, colour in zip(names, colours, strict=False)
        if found["class_confidence"][name] is not None
    ]
    return {"bars": bars, "width": width, "classes": classes, "step": found["step"]}


def size_columns(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The columns of the table of recall by size of object."""
    return [
        {
            "name": name,
            "least": f"{one['least_pixels']:,}",
            "objects": f"{one['objects']:,}",
            "recall": number(one["mean_accuracy"]),
            "recall_text": score_text(one["mean_accuracy"]),
            "classes": {k: score_text(v) for k, v in one["class_recall"].items()},
        }
        for name, one in found.items()
    ]


def sequence_rows(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of the table of sequences."""
    return [
        {
            "name": name,
            "images": one["images"],
            "miou": number(one["miou"]),
            "text": score_text(one["miou"]),
        }
        for name, one in found.items()
    ]


def heat_map(confusion: np.ndarray) -> dict[str, Any]:
    """The confusion matrix, row by row as shares: cells, or a picture of many."""
    shares = row_shares(confusion)
    if len(shares) > _MOST_CELLS:
        return {"cells": None, "picture": _heat_picture(shares)}
    is_wide = len(shares) <= _WIDE_CELLS
    cells = [
        [
            _cell(share, hit=column == index, is_wide=is_wide)
            for column, share in enumerate(row)
        ]
        for index, row in enumerate(shares)
    ]
    return {"cells": cells, "is_wide": is_wide, "picture": ""}


def mistakes(confusion: np.ndarray, names: Sequence[str]) -> list[dict[str, str]]:
    """The most frequent confusions of two classes."""
    shares = np.nan_to_num(row_shares(confusion))
    np.fill_diagonal(shares, 0)
    worst = np.argsort(-shares, axis=None, kind="stable")[:_MISTAKES]
    places = (np.unravel_index(place, shares.shape) for place in worst)
    return [
        {
            "truth": names[row],
            "prediction": names[column],
            "share": percent(shares[row, column]),
        }
        for row, column in places
        if shares[row, column] >= _MIN_MISTAKE
    ]


def number(value: float | None) -> float | None:
    """None for a NaN."""
    return None if value is None or np.isnan(value) else float(value)


def score_text(value: float | None) -> str:
    """Three digits, or a dash where there is no score."""
    value = number(value)
    return NO_VALUE if value is None else f"{value:.3f}"


def interval_text(interval: Sequence[float | None] | None) -> str:
    """Both ends, or nothing where they are not known."""
    ends = _ends(interval)
    return "{:.3f} – {:.3f}".format(*ends) if ends else ""


def _ends(interval: Sequence[float | None] | None) -> tuple[float, float] | None:
    low, high = (number(end) for end in interval or (None, None))
    return None if low is None or high is None else (low, high)


def _cell(share: float, *, hit: bool, is_wide: bool) -> dict[str, str]:
    if np.isnan(share):
        return {"kind": "none", "value": "0", "text": ""}
    # A mistake of a few per cent must be seen: its root is shown.
    strength = share if hit else share**0.5
    kind = ("hit" if hit else "") + (" dark" if strength > 0.55 else "")
    text = f"{share:.2f}".removeprefix("0") if share >= 0.005 and is_wide else ""
    return {"kind": kind, "value": f"{strength:.3f}", "text": text}


def _heat_picture(shares: np.ndarray) -> str:
    """A pixel a cell, transparent where the share is 0: for light and dark pages."""
    count = len(shares)
    picture = np.zeros((count, count, 4), np.uint8)
    picture[..., :3] = _MISTAKE
    picture[range(count), range(count), :3] = _HIT
    picture[..., 3] = np.rint(255 * np.sqrt(np.nan_to_num(shares)))
    return data_uri(encode_png(picture, compression=9), "png")
