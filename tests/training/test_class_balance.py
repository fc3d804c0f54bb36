from itertools import islice

import numpy as np
import pytest

from seglib.config import TrainConfig
from seglib.data.class_totals import ClassTotals
from seglib.data.loader import PairSource, training_batches
from seglib.errors import UsageError
from seglib.training.class_balance import ClassBalance, class_weights


class Pairs(PairSource):
    """Twelve images of class 0; class 1 is one pixel of the last."""

    def __init__(self):
        super().__init__([None] * 12, inputs={"image": 3})

    def _decode(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        mask = np.zeros((40, 60), np.uint8)
        mask[5, 50] = index == 11
        return np.full((40, 60, 3), index, np.uint8), mask


class VoidPairs(Pairs):
    """The same images, in which nothing is labelled: 9 is the ignored id."""

    def _decode(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        image, mask = super()._decode(index)
        return image, np.full_like(mask, 9)


def test_class_weights_are_those_worked_by_hand():
    # Shares .75 and .25; their inverse roots 1.1547 and 2; mean over pixels 1.366.
    weights = class_weights(np.array([300, 100, 0]), 0.5)
    assert weights[:2] == pytest.approx([1.1547 / 1.3660, 2 / 1.3660], rel=1e-4)
    assert weights[2] == 1.0
    assert class_weights(np.array([300, 100]), 0.0).tolist() == [1.0, 1.0]


def test_median_frequency_counts_the_images_that_a_class_is_in():
    # Frequencies: 120/200, 30/100 (the second image has none), 50/200; median 0.3.
    balance = ClassBalance(ClassTotals.of(np.array([[60, 30, 10, 0], [60, 0, 40, 0]])))
    weights = balance.weights(TrainConfig(class_weights="median_frequency"))
    assert weights == pytest.approx([0.3 / 0.6, 1.0, 0.3 / 0.25, 1.0])


def test_weights_can_be_given_or_be_none():
    balance = ClassBalance(ClassTotals.of(np.array([[60, 40]])))
    assert balance.weights(TrainConfig(class_weights="none")).tolist() == [1, 1]
    assert balance.weights(TrainConfig(class_weights="1, 2.5")).tolist() == [1, 2.5]
    with pytest.raises(UsageError, match="each of the 2 classes.*Received: 3"):
        balance.weights(TrainConfig(class_weights="1,2,3"))


@pytest.mark.parametrize("text", ["median", "1,x", "-1,2", "", "inf"])
def test_weights_that_cannot_be_are_refused(text):
    with pytest.raises(UsageError, match=r"`class_weights` must be .*median_frequency"):
        TrainConfig(class_weights=text)


def views(share: float, threads: int = 2) -> list[tuple[np.ndarray, np.ndarray]]:
    config = TrainConfig(batch_size=4, crop_height=16, crop_width=16)
    source = Pairs()
    balance = ClassBalance.count(source, num_classes=2, ignore_index=None)
    batches = training_batches(
        source,
        image_size=(40, 60),
        ignore_index=None,
        config=config,
        num_threads=threads,
        rare=balance.rare_views(source, share),
    )
    return [batch for batch, _ in zip(batches, range(15), strict=False)]


def test_views_of_rare_classes_show_them_as_often_as_asked_for():
    def shows(share: float) -> float:
        return float(np.mean([(m == 1).any((1, 2)) for _, m in views(share)]))

    assert shows(0.0) < 0.1
    # One of the two classes is all but certain to be drawn: exp(10) to 1.
    assert 0.3 < shows(0.5) < 0.7
    assert shows(1.0) > 0.8  # a zoom may drop a single pixel


@pytest.mark.parametrize("policy", ["", '[{"copy_paste": {"p": 1}}]', "strong"])
@pytest.mark.parametrize("pairs", [VoidPairs, Pairs])
def test_views_are_drawn_where_a_class_or_every_class_has_no_pixel(pairs, policy):
    source = pairs()
    balance = ClassBalance.count(source, num_classes=4, ignore_index=9)
    batches = training_batches(
        source,
        image_size=(40, 60),
        ignore_index=9,
        config=TrainConfig(batch_size=4, crop_height=16, crop_width=16),
        num_threads=1,
        rare=balance.rare_views(source, 0.5),
        policy=policy,
        others=balance.rare_views(source, 1.0),
    )
    shown = {9} if pairs is VoidPairs else {0, 1, 9}
    for _, masks in islice(batches, 3):
        assert set(np.unique(masks)) <= shown
    weights = balance.weights(TrainConfig(class_weights="median_frequency"))
    assert np.isfinite(weights).all()
    assert np.isfinite(balance.weights(TrainConfig(class_weights="power"))).all()


def test_views_of_rare_classes_do_not_depend_on_the_threads():
    for one, other in zip(views(0.5, 1), views(0.5, 4), strict=True):
        assert all((a == b).all() for a, b in zip(one, other, strict=True))
