"""Plots: training curves, confusion matrices; as figures, PNG, or points of a page.

matplotlib is imported when the first plot is drawn, which takes a second, and its
figures are used without pyplot: nothing global is touched and no display is needed.
"""

import io
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from seglib.arguments import checked
from seglib.errors import UsageError
from seglib.plain_text import visible_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _ORANGE, _GREY = "#2563c9", "#d9730d", "#6b7280"
_MANY_CLASSES = 30  # cells are too small for numbers
_WIDTH, _HEIGHT = 440.0, 170.0  # of a plot's area on a page, in its own units
_CURVES = {  # title of a plot -> keys of the history and their names
    "Loss": {"loss": "training"},
    "mIoU": {"val_miou": "val", "train_miou": "training, random views"},
}


@checked
def plot_curves(history: Sequence[Mapping[str, Any]]) -> "Figure":
    """Loss and val mIoU over the epochs.

    Args:
        history: rows {"epoch", "loss", "val_miou", …} as `seglib.train` returns them;
            a value may be None.

    Returns:
        A figure of matplotlib, which a notebook shows and `savefig` writes.
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
    return figure


def curve_plots(
    history: Sequence[Mapping[str, Any]],
    *,
    interval: tuple[float, float] | None = None,
) -> list[dict[str, Any]]:
    """The curves of a training as plots of a page, in units of their areas.

    Args:
        history: as of `curves_png`.
        interval: of the evaluated mIoU, which is drawn as a band.
    """
    epochs = [float(row["epoch"]) for row in history]
    if not epochs:
        return []
    first, last = epochs[0], epochs[-1]
    plots = []
    for title, keys in _CURVES.items():
        curves = {name: _points(history, key) for key, name in keys.items()}
        largest = max((v for one in curves.values() for _, v in one), default=0.0)
        top = 1.0 if title == "mIoU" else _round_up(largest)

        def place(epoch: float, value: float, top: float = top) -> tuple[float, float]:
            x = (epoch - first) / (last - first) if last > first else 0.5
            return round(_WIDTH * x, 1), round(_HEIGHT * (1 - value / top), 1)

        best = max(curves.get("val", ()), key=lambda point: point[1], default=None)
        band = interval if title == "mIoU" else None
        plots.append(
            {
                "title": title,
                "size": (_WIDTH, _HEIGHT),
                "lines": [
                    {"name": name, "points": [place(*point) for point in points]}
                    for name, points in curves.items()
                    if points
                ],
                "y_ticks": [
                    (place(first, top * part)[1], f"{top * part:g}")
                    for part in (0, 0.25, 0.5, 0.75, 1)
                ],
                "x_ticks": [
                    (place(epoch, 0)[0], f"{epoch:g}")
                    for epoch in sorted({first, epochs[len(epochs) // 2], last})
                ],
                "band": [place(first, end)[1] for end in band] if band else None,
                "best": (*place(*best), f"best {best[1]:.3f}, epoch {best[0]:g}")
                if best
                else None,
            }
        )
    return plots


def plot_confusion(confusion: np.ndarray, class_names: Sequence[str] = ()) -> "Figure":
    """Heat map of a confusion matrix, every row divided by its sum.

    Args:
        confusion: int array (num_classes, num_classes); [i, j] counts pixels of true
            class i predicted as j. That of an evaluation is `scores.confusion`.
        class_names: by class id. Default: the ids.

    Returns:
        A figure of matplotlib, which a notebook shows and `savefig` writes.

    Raises:
        UsageError: an array of another shape, or another number of names.
    """
    confusion = np.asarray(confusion)
    class_names = class_names or [*map(str, range(len(confusion)))]
    if confusion.shape != (len(class_names),) * 2:
        raise UsageError(
            "`confusion` must be an array (num_classes, num_classes), and have a name "
            f"for each class. Received: shape {confusion.shape}, {len(class_names)} "
            "names."
        )
    shares = row_shares(confusion)
    count = len(class_names)
    longest = 0.07 * min(max(map(len, class_names)), 40)  # inches
    side = min(1.6 + 0.46 * count, 16.0) + longest
    figure = _figure(side + 0.6, side)
    figure.set_layout_engine("compressed")  # as cells stay square
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
    return figure


def curves_png(history: Sequence[Mapping[str, Any]]) -> bytes:
    """The figure of `plot_curves` as PNG."""
    return _png(plot_curves(history))


def confusion_png(confusion: np.ndarray, class_names: Sequence[str]) -> bytes:
    """The figure of `plot_confusion` as PNG."""
    return _png(plot_confusion(confusion, class_names))


def row_shares(confusion: np.ndarray) -> np.ndarray:
    """Rows of a confusion matrix over their sums, float64; NaN where the sum is 0."""
    confusion = np.asarray(confusion, np.float64)
    totals = confusion.sum(axis=1, keepdims=True)
    return np.divide(
        confusion, totals, out=np.full_like(confusion, np.nan), where=totals > 0
    )


def _round_up(value: float) -> float:
    """To 1, 2, 4 or 8 times a power of ten, whose quarters are short numbers."""
    if value <= 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(f * power for f in (1, 2, 4, 8, 10) if f * power >= value))


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

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    # Notebooks show figures of pyplot alone; this is what they ask of other objects.
    vars(figure)["_repr_png_"] = partial(_png, figure)
    return figure


def _png(figure: "Figure") -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()
