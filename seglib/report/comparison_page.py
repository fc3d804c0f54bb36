"""The page that puts several models side by side."""

import math

from seglib.evaluation.bootstrap import CONFIDENCE, Interval
from seglib.evaluation.side_by_side import LEVEL, Difference, SideBySide
from seglib.report.pages import NO_VALUE, render

_NOTHING = {"text": NO_VALUE, "value": "", "interval": ""}
_SCORES = {
    "miou": "mIoU",
    "boundary_miou": "boundary IoU",
    "mean_dice": "Dice",
    "mean_accuracy": "mean accuracy",
    "pixel_accuracy": "pixel accuracy",
    "miou_frequency_weighted": "weighted IoU",
}


def comparison_page(found: SideBySide, *, split: str) -> str:
    """Models side by side, as one self-contained HTML text."""
    first, *others = found.scores
    rows = zip(
        found.class_names,
        found.scores[first]["class_iou"],
        found.classes,
        strict=True,
    )
    return render(
        "comparison.html",
        title=f"{len(found.scores)} models side by side",
        subtitle=f"{found.num_images:,} images of the {split} split, the same for all"
        + (f", resampled in rows of {found.block:,}" if found.block > 1 else ""),
        score_names=list(_SCORES.values()),
        models=[
            {
                "name": model,
                "scores": [_score(scores.get(name, [None])[0]) for name in _SCORES],
            }
            for model, scores in found.scores.items()
        ],
        pairs=[_difference(one) for one in found.pairs],
        first=first,
        others=others,
        classes=[
            {
                "name": name,
                "first": _score(iou),
                "differences": [_difference(one) for one in row],
            }
            for name, iou, row in rows
        ],
        confidence=f"{CONFIDENCE:.0%}",
        level=f"{LEVEL:g}",
    )


def _score(one: Interval | None) -> dict[str, str]:
    if one is None or math.isnan(one.estimate):
        return _NOTHING
    known = not math.isnan(one.low)
    return {
        "text": f"{one.estimate:.3f}",
        "value": str(one.estimate),
        "interval": f"{one.low:.3f} – {one.high:.3f}" if known else "",
    }


def _difference(one: Difference) -> dict[str, str]:
    change, names = one.change, {"model": one.model, "other": one.other}
    if math.isnan(change.estimate):
        return names | _NOTHING | {"verdict": "", "p": NO_VALUE}
    return names | {
        "text": f"{change.estimate:+.3f}",
        "value": str(change.estimate),
        "interval": f"{change.low:+.3f} … {change.high:+.3f}",
        "p": f"{one.p:.3f}" if one.p >= 0.001 else "< 0.001",
        "verdict": one.verdict,
    }
