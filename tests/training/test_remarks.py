"""What is said at the end of a training, where it holds."""

import math

from seglib.training.remarks import remarks


def _history(*scores: float) -> list[dict[str, float]]:
    return [{"epoch": n, "val_miou": miou} for n, miou in enumerate(scores, 1)]


def test_a_model_worse_than_the_majority_class_is_told():
    (told,) = remarks(_history(0.1, 0.11, 0.12, 0.12), 0.14)
    assert told.startswith("worse than the majority class everywhere (mIoU 0.1400)")
    assert remarks(_history(0.1, 0.11, 0.14, 0.14), 0.14) == []


def test_a_score_that_still_rises_asks_for_more_epochs():
    rising = _history(*(0.3 + 0.02 * n for n in range(20)))
    (told,) = remarks(rising, 0.1)
    assert told == "still improving: more epochs than 20 may give more"
    flat = _history(*(0.6 - 0.3 / 2**n for n in range(20)))
    assert remarks(flat, 0.1) == []


def test_a_score_that_fell_names_its_best_epoch():
    fallen = _history(*(0.4 + 0.02 * n for n in range(12)), 0.6, 0.58, 0.56)
    (told,) = remarks(fallen, 0.1)
    assert told.startswith("val mIoU fell after epoch 12, from 0.6200 to 0.5600")
    wobbling = _history(0.4, 0.5, 0.6, 0.59, 0.6, 0.595)
    assert remarks(wobbling, 0.1) == []


def test_nothing_is_said_without_validation_or_of_a_few_epochs():
    assert remarks(_history(math.nan, math.nan), math.nan) == []
    assert remarks(_history(0.3, 0.5), 0.1) == []
