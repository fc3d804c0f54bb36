"""The page on a model's scores."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seglib.data.dataset import default_palette
from seglib.data.image_io import decode_image
from seglib.evaluation.metrics import Scores
from seglib.report.pages import NO_VALUE, inline_pictures, percent, render
from seglib.report.plots import confusion_png, row_shares

_MANY_CLASSES = 24  # more make the table of the heat map wider than the page
_MISTAKES = 5
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
) -> str:
    """The page on a model's scores, as one self-contained HTML text.

    Args:
        metrics: what metrics.json holds: split, num_images, miou, baseline_miou,
            pixel_accuracy, miou_frequency_weighted, class_iou, class_names, data_md5.
            A score may be None or NaN: "–" on the page.
        confusion: int array (num_classes, num_classes), pixels; [i, j] is true i,
            predicted j.
        pictures: name and uint8 array (H, W, 3), such as `comparison` makes.
        palette: colours of the classes. Default: `default_palette`.
        scores: name of a picture -> mIoU of that image alone; orders the pictures from
            worst to best. Without it they keep their order.
    """
    names = list(metrics["class_names"])
    colours = palette or default_palette(len(names))
    confusion = np.asarray(confusion, np.int64)
    ordered = _worst_first(pictures, scores)
    sources = inline_pictures([picture for _, picture in ordered])
    classes = _classes(metrics, Scores(confusion), colours)
    small = len(names) <= _MANY_CLASSES
    return render(
        "evaluation.html",
        title=title,
        subtitle=subtitle,
        headline=_headline(metrics),
        classes=classes,
        any_dash=any(NO_VALUE in row.values() for row in classes),
        heat=_heat(confusion) if small else None,
        heat_picture=""
        if small
        else inline_pictures([decode_image(confusion_png(confusion, names))])[0],
        mistakes=_mistakes(confusion, names),
        pictures=[
            _picture(name, source, scores)
            for (name, _), source in zip(ordered, sources, strict=False)
        ],
        sorted=bool(scores),
        left_out=len(ordered) - len(sources),
        data_md5=metrics.get("data_md5", ""),
    )


def _headline(metrics: Mapping[str, Any]) -> dict[str, str]:
    return {
        "miou": _score(metrics["miou"]),
        "baseline": _score(metrics["baseline_miou"]),
        "frequency_weighted": _score(metrics["miou_frequency_weighted"]),
        "pixel_accuracy": _score(metrics["pixel_accuracy"]),
        "images": f"{metrics['num_images']:,}",
        "images_label": f"images of the {metrics['split']} split, at original size",
    }


def _classes(
    metrics: Mapping[str, Any],
    scores: Scores,
    colours: Sequence[tuple[int, int, int]],
) -> list[dict[str, Any]]:
    iou = metrics["class_iou"]
    return [
        {
            "name": name,
            "short_name": name if len(name) <= 16 else name[:15] + "…",
            "colour": colour,
            "iou": _number(iou[name]),
            "iou_text": _score(iou[name]),
            "recall": _score(recall),
            "precision": _score(precision),
            "share": percent(share),
        }
        for name, colour, recall, precision, share in zip(
            metrics["class_names"],
            colours,
            scores.class_recall,
            scores.class_precision,
            scores.class_share,
            strict=True,
        )
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
    name: str, source: str, scores: Mapping[str, float | None] | None
) -> dict[str, str]:
    value = f"mIoU {_score(scores.get(name))}" if scores else ""
    alt = f"{name}: image, truth, prediction and errors, side by side"
    return {"name": name, "source": source, "alt": alt, "value": value}


def _number(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)


def _score(value: float | None) -> str:
    value = _number(value)
    return NO_VALUE if value is None else f"{value:.3f}"
