"""Plots as PNG bytes: training curves, confusion matrices.

matplotlib is imported when the first plot is drawn, which takes a second, and its
figures are used without pyplot: nothing global is touched and no display is needed.
"""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seglib.plain_text import visible_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _ORANGE, _GREY = "#2563c9", "#d9730d", "#6b7280"
_MANY_CLASSES = 30  # cells are too small for numbers


def curves_png(history: Sequence[Mapping[str, Any]]) -> bytes:
    """Loss and val mIoU over the epochs.

    Args:
        history: rows {"epoch", "loss", "val_miou", …}; a value may be None.
    """
    figure = _figure(9.0, 3.4)
    loss, miou = figure.subplots(1, 2)
    _curve(loss, history, "loss", _BLUE)
    _curve(miou, history, "val_miou", _ORANGE)
    loss.set_title("training loss", loc="left", fontsize=10)
    miou.set_title("val mIoU", loc="left", fontsize=10)
    miou.set_ylim(0, 1)
    points = _points(history, "val_miou")
    if points:
        epoch, best = max(points, key=lambda point: (point[1], -point[0]))
        miou.plot([epoch], [best], "o", color=_ORANGE, markersize=6)
        miou.annotate(
            f"best {best:.3f}, epoch {epoch:g}",
            (epoch, best),
            xytext=(0, 8 if best < 0.9 else -14),
            textcoords="offset points",
            ha="right" if epoch > np.mean([point[0] for point in points]) else "left",
            fontsize=9,
        )
    return _png(figure)


def confusion_png(confusion: np.ndarray, class_names: Sequence[str]) -> bytes:
    """Heat map of a confusion matrix, every row divided by its sum.

    Args:
        confusion: int array (num_classes, num_classes); [i, j] counts pixels of true
            class i predicted as j.
    """
    shares = row_shares(confusion)
    count = len(class_names)
    side = min(2.2 + 0.46 * count, 16.0)
    figure = _figure(side + 0.6, side)
    axes = figure.subplots()
    shown = axes.imshow(np.nan_to_num(shares), cmap="Blues", vmin=0, vmax=1)
    font_size = 9 if count <= _MANY_CLASSES else 5
    names = [visible_line(name) for name in class_names]
    plain = {"fontsize": font_size, "parse_math": False}
    axes.set_xticks(range(count), names, rotation=90, **plain)
    axes.set_yticks(range(count), names, **plain)
    axes.set_xlabel("prediction")
    axes.set_ylabel("truth")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    if count <= _MANY_CLASSES:
        _write_numbers(axes, shares)
    figure.colorbar(
        shown, ax=axes, fraction=0.04, pad=0.02, label="share of the true class"
    )
    return _png(figure)


def row_shares(confusion: np.ndarray) -> np.ndarray:
    """Rows of a confusion matrix over their sums, float64; NaN where the sum is 0."""
    confusion = np.asarray(confusion, np.float64)
    totals = confusion.sum(axis=1, keepdims=True)
    return np.divide(
        confusion, totals, out=np.full_like(confusion, np.nan), where=totals > 0
    )


def _write_numbers(axes: "Axes", shares: np.ndarray) -> None:
    for (row, column), share in np.ndenumerate(shares):
        if np.isnan(share):
            text, colour = "–", _GREY
        else:
            text, colour = (
                f"{share:.2f}".removeprefix("0"),
                "white" if share > 0.6 else "black",
            )
        if np.isnan(share) or share >= 0.005:
            axes.text(
                column, row, text, ha="center", va="center", color=colour, fontsize=8
            )


def _curve(
    axes: "Axes", history: Sequence[Mapping[str, Any]], key: str, colour: str
) -> None:
    points = _points(history, key)
    if points:
        axes.plot(*zip(*points, strict=True), color=colour, marker=".", linewidth=1.6)
    axes.set_xlabel("epoch", fontsize=9)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)


def _points(
    history: Sequence[Mapping[str, Any]], key: str
) -> list[tuple[float, float]]:
    values = [(row["epoch"], row.get(key)) for row in history]
    return [(e, float(v)) for e, v in values if v is not None and np.isfinite(v)]


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def _png(figure: "Figure") -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()
