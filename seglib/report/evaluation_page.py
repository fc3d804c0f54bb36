"""The page on a model's scores, and the table of all images beside it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seglib.data.dataset import default_palette
from seglib.data.image_io import decode_image
from seglib.drawing.plots import confusion_png, row_shares
from seglib.evaluation.metrics import Scores
from seglib.report.pages import (
    NO_VALUE,
    PICTURE_BYTES,
    inline_pictures,
    percent,
    render,
)

IMAGES = "images"  # folder beside the page: its pictures at full size
IMAGES_SCRIPT = "per_image.js"  # beside the page: the table of all images
_MANY_CLASSES = 24  # more make the table of the heat map wider than the page
_MOST_CLASSES = 400  # in the tables; more make the page too large
_CLASS_BYTES = 1_300  # that a class takes on the page
_MISTAKES = 10
_MIN_MISTAKE = 0.02  # of the true class's pixels


def evaluation_page(
    metrics: Mapping[str, Any],
    confusion: np.ndarray,
    pictures: Sequence[tuple[str, np.ndarray]],
    *,
    title: str = "Evaluation",
    subtitle: str = "",
    palette: Sequence[tuple[int, int, int]] | None = None,
    scores: Mapping[str, float | None] | None = None,
    reasons: Mapping[str, str] | None = None,
) -> str:
    """The page on a model's scores, as one self-contained HTML text.

    If `IMAGES_SCRIPT` and the folder `IMAGES` lie beside it, it shows the table of all
    images and links to full pictures; without them it says that they are not there.

    Args:
        metrics: what metrics.json holds. A score may be None or NaN: "–" on the page.
        confusion: int array (num_classes, num_classes), pixels; [i, j] is true i,
            predicted j.
        pictures: name and uint8 array (H, W, 3), such as `comparison` makes.
        palette: colours of the classes. Default: `default_palette`.
        scores: name of a picture -> mIoU of that image alone; orders the pictures from
            worst to best. Without it they keep their order.
        reasons: name of a picture -> why it is shown, such as "worst".
    """
    names = list(metrics["class_names"])
    colours = palette or default_palette(len(names))
    confusion = np.asarray(confusion, np.int64)
    ordered = _worst_first(pictures, scores)
    classes = _classes(metrics, Scores(confusion), colours)[:_MOST_CLASSES]
    sources = inline_pictures(
        [picture for _, picture in ordered],
        budget_bytes=PICTURE_BYTES - _CLASS_BYTES * len(classes),
    )
    small = len(names) <= _MANY_CLASSES
    return render(
        "evaluation.html",
        title=title,
        subtitle=subtitle,
        headline=_headline(metrics),
        classes=classes,
        classes_left_out=len(names) - len(classes),
        any_dash=any(
            one["text"] == NO_VALUE for row in classes for one in row["others"]
        ),
        heat=_heat(confusion) if small else None,
        heat_picture=""
        if small
        else inline_pictures([decode_image(confusion_png(confusion, names))])[0],
        mistakes=_mistakes(confusion, names),
        pictures=[
            _picture(name, source, scores, reasons or {})
            for (name, _), source in zip(ordered, sources, strict=False)
        ],
        sorted=bool(scores),
        left_out=len(ordered) - len(sources),
        data_md5=metrics.get("data_md5", ""),
        calibration=_calibration(
            metrics["calibration"], names[:_MOST_CLASSES], colours
        ),
        error=_score(metrics["expected_calibration_error"]),
        sizes=_sizes(metrics["sizes"]),
        sequences=_sequences(metrics["sequences"]),
        images_script=IMAGES_SCRIPT,
        images_folder=IMAGES,
    )


def images_script(
    names: Sequence[str], rows: Sequence[Sequence[Any]], *, pictures: Sequence[str]
) -> str:
    """The script beside the page: the table of all images.

    Args:
        names: of the columns; the first is an image's stem.
        rows: the stem and numbers of each image; NaN is no value.
        pictures: stems that have a picture in the folder `IMAGES`.
    """
    values = [[row[0], *map(_rounded, row[1:])] for row in rows]
    table = {"names": list(names), "rows": values, "pictures": list(pictures)}
    return f"window.perImage = {json.dumps(table, separators=(',', ':'))};\n"


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)


def _headline(metrics: Mapping[str, Any]) -> list[dict[str, str]]:
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
            "value": _score(metrics[key]),
            "label": label,
            "interval": _interval(metrics["intervals"].get(key)),
        }
        for key, label in shown.items()
    ]
    baseline = "mIoU of always answering the most frequent class"
    images = f"images of the {metrics['split']} split, at original size"
    return [
        *cards,
        {"value": _score(metrics["baseline_miou"]), "label": baseline, "interval": ""},
        {"value": f"{metrics['num_images']:,}", "label": images, "interval": ""},
    ]


def _classes(
    metrics: Mapping[str, Any],
    scores: Scores,
    colours: Sequence[tuple[int, int, int]],
) -> list[dict[str, Any]]:
    intervals = metrics["intervals"].get("class_iou", {})
    return [
        {
            "name": name,
            "short_name": name if len(name) <= 16 else name[:15] + "…",
            "colour": colour,
            "iou": _number(metrics["class_iou"][name]),
            "iou_text": _score(metrics["class_iou"][name]),
            "ends": _ends(intervals.get(name)),
            "interval": _interval(intervals.get(name)),
            "others": [
                {"value": _number(value), "text": _score(value)}
                for value in (
                    metrics["class_boundary_iou"].get(name),
                    *(scores.class_dice[index], scores.class_recall[index]),
                    scores.class_precision[index],
                )
            ],
            "share_value": float(np.nan_to_num(scores.class_share[index])),
            "share": percent(scores.class_share[index]),
        }
        for index, (name, colour) in enumerate(
            zip(metrics["class_names"], colours, strict=True)
        )
    ]


def _ends(interval: Sequence[float | None] | None) -> tuple[float, float] | None:
    low, high = (_number(end) for end in interval or (None, None))
    return None if low is None or high is None else (low, high)


def _interval(interval: Sequence[float | None] | None) -> str:
    ends = _ends(interval)
    return "{:.3f} – {:.3f}".format(*ends) if ends else ""


def _calibration(
    found: Mapping[str, Any],
    names: Sequence[str],
    colours: Sequence[tuple[int, int, int]],
) -> dict[str, Any]:
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
            "confidence": _score(found["class_confidence"][name]),
            "accuracy": _score(found["class_accuracy"][name]),
            "apart": found["class_confidence"][name] - found["class_accuracy"][name],
        }
        for name, colour in zip(names, colours, strict=False)
        if found["class_confidence"][name] is not None
    ]
    return {"bars": bars, "width": width, "classes": classes, "step": found["step"]}


def _sizes(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "least": f"{one['least_pixels']:,}",
            "objects": f"{one['objects']:,}",
            "recall": _number(one["mean_accuracy"]),
            "recall_text": _score(one["mean_accuracy"]),
            "classes": {k: _score(v) for k, v in one["class_recall"].items()},
        }
        for name, one in found.items()
    ]


def _sequences(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "images": one["images"],
            "miou": _number(one["miou"]),
            "text": _score(one["miou"]),
        }
        for name, one in found.items()
    ]


def _heat(confusion: np.ndarray) -> list[list[dict[str, str]]]:
    """Cells of the heat map: the diagonal is a hit, an empty row has no value."""
    return [
        [_cell(share, hit=column == index) for column, share in enumerate(shares)]
        for index, shares in enumerate(row_shares(confusion))
    ]


def _cell(share: float, *, hit: bool) -> dict[str, str]:
    if np.isnan(share):
        return {"kind": "", "value": "0", "text": NO_VALUE}
    kind = ("hit" if hit else "") + (" dark" if share > 0.55 else "")
    text = f"{share:.2f}".removeprefix("0") if share >= 0.005 else ""
    return {"kind": kind, "value": f"{share:.3f}", "text": text}


def _mistakes(confusion: np.ndarray, names: Sequence[str]) -> list[dict[str, str]]:
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


def _worst_first(
    pictures: Sequence[tuple[str, np.ndarray]],
    scores: Mapping[str, float | None] | None,
) -> list[tuple[str, np.ndarray]]:
    if not scores:
        return list(pictures)

    def key(picture: tuple[str, np.ndarray]) -> tuple[bool, float]:
        score = _number(scores.get(picture[0]))
        return score is None, score or 0.0

    return sorted(pictures, key=key)


def _picture(
    name: str,
    source: str,
    scores: Mapping[str, float | None] | None,
    reasons: Mapping[str, str],
) -> dict[str, str]:
    value = f"mIoU {_score(scores.get(name))}" if scores else ""
    alt = f"{name}: image, truth, prediction and errors, side by side"
    caption = f"{name} · {reasons[name]}" if name in reasons else name
    return {"name": name, "source": source, "alt": alt} | {
        "caption": caption,
        "value": value,
    }


def _number(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)


def _score(value: float | None) -> str:
    value = _number(value)
    return NO_VALUE if value is None else f"{value:.3f}"
