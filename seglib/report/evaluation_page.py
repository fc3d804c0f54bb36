"""The page on a model's scores, and the table of all images beside it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seglib.data.dataset import default_palette
from seglib.data.problems import UNSCORED
from seglib.drawing.plots import curve_plots
from seglib.evaluation.bootstrap import CONFIDENCE
from seglib.evaluation.metrics import Scores
from seglib.report.class_tables import (
    MOST_CLASSES,
    calibration,
    class_rows,
    heat_map,
    interval_text,
    mistakes,
    number,
    score_text,
    sequence_rows,
    size_columns,
)
from seglib.report.layers import SUFFIXES, Layers, inline_layers
from seglib.report.pages import NO_VALUE, PICTURE_BYTES, render
from seglib.report.verdict import UNDECIDED, fact_rows

IMAGES = "images"  # folder beside the page: its pictures at full size
IMAGES_SCRIPT = "per_image.js"  # beside the page: the table of all images
_CLASS_BYTES = 1_400  # that a class takes on the page


def evaluation_page(
    metrics: Mapping[str, Any],
    confusion: np.ndarray,
    pictures: Mapping[str, Layers],
    *,
    title: str = "Evaluation",
    subtitle: str = "",
    palette: Sequence[tuple[int, int, int]] | None = None,
    scores: Mapping[str, float | None] | None = None,
    reasons: Mapping[str, str] | None = None,
    facts: Mapping[str, str] | None = None,
    settings: str = "",
    history: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The page on a model's scores, as one self-contained HTML text.

    If `IMAGES_SCRIPT` and the folder `IMAGES` lie beside it, it shows the table of all
    images and full pictures; without them it says that they are not there.

    Args:
        metrics: what metrics.json holds. A score may be None or NaN: "–" on the page.
        confusion: int array (num_classes, num_classes), pixels; [i, j] is true i,
            predicted j.
        pictures: by an image's name, as `seglib.report.layers.layers` makes them.
        palette: colours of the classes. Default: `default_palette`.
        scores: name of any image -> mIoU of that image alone; orders the pictures from
            worst to best. Without it they keep their order.
        reasons: name of a picture -> why it is shown, such as "worst".
        facts: about model, data and run: name -> text, or the address of a page.
        settings: of the training, as YAML.
        history: of the training, row by row.
    """
    names = list(metrics["class_names"])
    colours = palette or default_palette(len(names))
    confusion = np.asarray(confusion, np.int64)
    ranks = _ranks(scores or {})
    order = sorted(pictures, key=lambda name: ranks.get(name, 0))
    classes = class_rows(metrics, Scores(confusion), colours)
    sources = inline_layers(
        [pictures[name] for name in order],
        budget_bytes=PICTURE_BYTES - _CLASS_BYTES * len(classes),
    )
    ends = metrics["intervals"].get("miou") or (None, None)
    low, high = map(number, ends)
    pinned = metrics.get("data_md5") or "not pinned to a version"
    return render(
        "evaluation.html",
        title=title,
        subtitle=subtitle,
        undecided=UNDECIDED,
        headline=_headline(metrics),
        facts=fact_rows({**(facts or {}), "Data hash": pinned}),
        settings=settings,
        confidence=f"{CONFIDENCE:.0%}",
        curves=curve_plots(
            history, interval=(low, high) if low is not None and high else None
        ),
        split=metrics["split"],
        classes=classes,
        classes_left_out=len(names) - len(classes),
        any_dash=any(
            one["text"] == NO_VALUE for row in classes for one in row["others"]
        ),
        unscored=UNSCORED if any(not row["in_masks"] for row in classes) else "",
        heat=heat_map(confusion),
        mistakes=mistakes(confusion, names),
        pictures=[
            {
                "name": name,
                "sources": each,
                "note": _note(name, ranks, (reasons or {}).get(name, "")),
                "score": f"mIoU {score_text((scores or {}).get(name))}"
                if scores
                else "",
            }
            for name, each in zip(order, sources, strict=False)
        ],
        sorted=bool(scores),
        left_out=len(order) - len(sources),
        num_images=metrics["num_images"],
        calibration=calibration(metrics["calibration"], names[:MOST_CLASSES], colours),
        error=score_text(metrics["expected_calibration_error"]),
        sizes=size_columns(metrics["sizes"]),
        sequences=sequence_rows(metrics["sequences"]),
        images_script=IMAGES_SCRIPT,
        images_folder=IMAGES,
    )


def images_script(
    names: Sequence[str], rows: Sequence[Sequence[Any]], *, pictures: Sequence[str]
) -> str:
    """The script beside the page: the table of all images, from worst to best.

    Args:
        names: of the columns; the first is an image's stem, the second decides.
        rows: the stem and numbers of each image; NaN is no value.
        pictures: stems that have pictures in the folder `IMAGES`.
    """
    ranks = _ranks({row[0]: row[1] for row in rows})
    values = [[row[0], *map(_rounded, row[1:])] for row in rows]
    values.sort(key=lambda row: ranks[row[0]])
    table = {
        "names": list(names),
        "rows": values,
        "pictures": list(pictures),
        "suffixes": SUFFIXES,
    }
    return f"window.perImage = {json.dumps(table, separators=(',', ':'))};\n"


def _headline(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    shown = {
        "miou": "mIoU, mean over classes",
        "boundary_miou": "mean boundary IoU",
        "mean_dice": "mean Dice",
        "mean_accuracy": "mean accuracy (recall)",
        "pixel_accuracy": "pixel accuracy",
        "miou_frequency_weighted": "IoU weighted by class frequency",
    }
    cards = [
        {
            "value": score_text(metrics[key]),
            "label": label,
            "interval": interval_text(metrics["intervals"].get(key)),
        }
        for key, label in shown.items()
    ]
    baseline = "mIoU of always answering the most frequent class"
    images = f"images of the {metrics['split']} split, at original size"
    return [
        *cards,
        {
            "value": score_text(metrics["baseline_miou"]),
            "label": baseline,
            "interval": "",
        },
        {"value": f"{metrics['num_images']:,}", "label": images, "interval": ""},
    ]


def _ranks(scores: Mapping[str, float | None]) -> dict[str, int]:
    """Places from worst to best, counted from 1; images without a score come last."""

    def key(name: str) -> tuple[bool, float]:
        score = number(scores[name])
        return score is None, score or 0.0

    return {name: place for place, name in enumerate(sorted(scores, key=key), 1)}


def _note(name: str, ranks: Mapping[str, int], reason: str) -> str:
    if name not in ranks:
        return reason
    place = f"{ranks[name]:,} of {len(ranks):,}"
    return f"{place} · {reason}" if reason else place


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 6)
