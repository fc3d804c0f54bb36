"""What a person should know of a training that has ended, from its history."""

import math
from collections.abc import Sequence

from seglib.training.state import Row

_RISING = 0.01  # of val mIoU, in the last tenth of the epochs
_FALLEN = 0.02  # of val mIoU, from the best epoch to the last
_FEWEST = 4  # validations, before a trend is told


def remarks(history: Sequence[Row], majority_miou: float) -> list[str]:
    """Sentences on what does not look right; mostly none.

    Args:
        history: with `epoch` and `val_miou`, NaN where an epoch was not validated.
        majority_miou: val mIoU of giving every pixel the most frequent class; NaN where
            nothing was validated.

    >>> rows = [{"epoch": n, "val_miou": miou} for n, miou in enumerate((0.1, 0.09), 1)]
    >>> remarks(rows, 0.12)[0].partition(":")[0]
    'worse than the majority class everywhere (mIoU 0.1200)'
    """
    measured = [(row["epoch"], row["val_miou"]) for row in history]
    measured = [(epoch, miou) for epoch, miou in measured if not math.isnan(miou)]
    if not measured:
        return []
    best_epoch, best = max(measured, key=lambda one: one[1])
    last_epoch, last = measured[-1]
    if best < majority_miou:
        told = (
            f"worse than the majority class everywhere (mIoU {majority_miou:.4f}): "
            "look at the masks with `seglib visualize`, train longer, or lower the "
            "learning rate"
        )
        return [told]
    if len(measured) < _FEWEST:
        return []
    before = max(miou for epoch, miou in measured if epoch <= 0.9 * last_epoch)
    if best_epoch == last_epoch and best - before >= _RISING:
        return [f"still improving: more epochs than {last_epoch:.0f} may give more"]
    if best - last >= _FALLEN:
        told = (
            f"val mIoU fell after epoch {best_epoch:.0f}, from {best:.4f} to "
            f"{last:.4f}; that epoch is kept. `patience` ends such a training "
            "earlier, and stronger augmentation (--policy) may help"
        )
        return [told]
    return []
