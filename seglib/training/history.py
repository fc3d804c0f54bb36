"""The history of a training, a row an epoch, as Python and notebooks show it."""

import math

from seglib.data.image_io import png_uri
from seglib.drawing import notebook
from seglib.drawing.plots import curves_png

_SCORES = ("loss", "train_miou", "val_miou")


class History(list[dict[str, float]]):
    """Rows of `epoch`, `loss`, `train_miou`, `val_miou`, `learning_rate`, `duration_s`.

    A list like any other, which notebooks show as curves and a table.
    """

    def _repr_html_(self) -> str:
        if not self:
            return notebook.card("Training", "no epoch")
        scores = [row["val_miou"] for row in self if not math.isnan(row["val_miou"])]
        best = f", best val mIoU {max(scores):.4f}" if scores else ""
        rows = [
            [
                f"{row['epoch']:.0f}",
                *(notebook.number(row[name], 4) for name in _SCORES),
                f"{row['learning_rate']:.2g}",
                f"{row['duration_s']:.1f}",
            ]
            for row in self
        ]
        table = notebook.table(
            ["epoch", "loss", "train mIoU", "val mIoU", "learning rate", "seconds"],
            rows,
        )
        return notebook.card(
            "Training",
            f"{len(self)} epochs{best}",
            notebook.picture(png_uri(curves_png(self)), "loss and val mIoU by epoch"),
            notebook.folded("Epochs", table),
        )
