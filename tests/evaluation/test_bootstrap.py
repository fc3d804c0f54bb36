"""The paired bootstrap: what it may promote by chance, and what it must not miss."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.gate_power import draw_images, draw_model, promotes
from seglib.errors import SegError, UsageError
from seglib.evaluation.bootstrap import adjusted, compare, intervals
from seglib.evaluation.counts import ImageCounts, read_counts, write_counts
from seglib.evaluation.metrics import Scores

IMAGES = 101  # CamVid's val split


def _promotes(challenger, champion):
    return promotes(compare(challenger, champion, resamples=400))


def _promoted(better, runs, seed):
    rng = np.random.default_rng(seed)
    promoted = 0
    for _ in range(runs):
        images = draw_images(rng)
        champion, challenger = draw_model(rng, images), draw_model(rng, images, better)
        promoted += _promotes(challenger, champion)
    return promoted / runs


def test_a_thousand_equal_models_are_promoted_by_chance_at_most_in_a_twentieth():
    assert _promoted(0.0, runs=1000, seed=1) <= 0.05


def test_a_model_better_by_three_points_is_promoted_nearly_always():
    assert _promoted(0.03, runs=100, seed=2) >= 0.95


def test_a_model_that_lost_a_rare_class_is_held():
    rng = np.random.default_rng(3)
    images = draw_images(rng)
    champion, challenger = draw_model(rng, images), draw_model(rng, images, better=0.05)
    challenger.correct[:, 9] = champion.correct[:, 9] // 2
    compared = compare(challenger, champion, resamples=400)
    assert compared.is_better()
    assert compared.lost_classes() == (9,)
    assert not _promotes(challenger, champion)


def test_a_model_is_as_good_as_itself():
    rng = np.random.default_rng(4)
    model = draw_model(rng, draw_images(rng))
    compared = compare(model, model)
    assert (compared.miou.estimate, compared.miou.low, compared.miou.high) == (0, 0, 0)
    assert not _promotes(model, model)


def test_the_scores_are_those_of_the_evaluation(tmp_path):
    rng = np.random.default_rng(5)
    confusions = {f"{i}": rng.integers(0, 50, (3, 3)) for i in range(6)}
    counts = ImageCounts.of(confusions)
    scores = Scores(sum(confusions.values()))
    assert counts.class_iou == pytest.approx(scores.class_iou)
    assert counts.miou == pytest.approx(scores.miou)
    write_counts(counts, tmp_path / "counts.npz")
    again = read_counts(tmp_path / "counts.npz")
    assert again.stems == counts.stems
    assert (again.correct == counts.correct).all()
    assert (again.union == counts.union).all()


def test_the_order_of_the_images_does_not_matter():
    rng = np.random.default_rng(6)
    images = draw_images(rng)
    one, other = draw_model(rng, images), draw_model(rng, images)
    turned = ImageCounts(other.stems[::-1], other.correct[::-1], other.union[::-1])
    assert compare(one, other) == compare(one, turned)


def test_blocks_of_frames_widen_the_interval():
    """Ten frames of each scene: the evidence of ten images, not of a hundred."""
    rng = np.random.default_rng(7)
    images = draw_images(rng)
    pair = [draw_model(rng, images), draw_model(rng, images)]
    tenfold = [
        ImageCounts(
            tuple(f"{i:04}" for i in range(10 * IMAGES)),
            model.correct.repeat(10, 0),
            model.union.repeat(10, 0),
        )
        for model in pair
    ]

    def width(models, **options):
        interval = compare(*models, resamples=2000, **options).miou
        return interval.high - interval.low

    assert width(tenfold) < 0.5 * width(pair)
    assert width(tenfold, block=30) == pytest.approx(width(pair), rel=0.25)


def test_a_class_that_never_occurs_has_no_interval():
    rng = np.random.default_rng(8)
    images = draw_images(rng)
    one, other = draw_model(rng, images), draw_model(rng, images)
    for model in (one, other):
        model.correct[:, 4] = model.union[:, 4] = 0
    compared = compare(one, other)
    assert np.isnan(compared.class_iou[4].low)
    assert not np.isnan(compared.miou.low)
    assert 4 not in compared.lost_classes()


def test_other_images_or_classes_are_refused(tmp_path):
    rng = np.random.default_rng(9)
    images = draw_images(rng)
    one, other = draw_model(rng, images), draw_model(rng, images)
    with pytest.raises(SegError, match=r"different images(.|\n)*000, x"):
        compare(one, replace(other, stems=("x", *other.stems[1:])))
    with pytest.raises(SegError, match="different classes: 11 and 10"):
        compare(
            one, replace(other, correct=other.correct[:, 1:], union=other.union[:, 1:])
        )
    with pytest.raises(UsageError, match="confidence between"):
        compare(one, other, confidence=95)
    (tmp_path / "a.npz").write_bytes(b"anything")
    with pytest.raises(SegError, match="not the counts of an evaluation"):
        read_counts(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:40] + bytes(60) + content[100:],
        lambda content: content[:0],
    ],
)
def test_damaged_counts_are_one_message(tmp_path, damage):
    counts = ImageCounts(("a",), np.ones((1, 3), int), np.ones((1, 3), int))
    write_counts(counts, tmp_path / "counts.npz")
    content = (tmp_path / "counts.npz").read_bytes()
    (tmp_path / "counts.npz").write_bytes(damage(content))
    with pytest.raises(SegError, match="not the counts of an evaluation"):
        read_counts(tmp_path / "counts.npz")


def test_counts_of_other_shapes_are_one_message(tmp_path):
    counts = ImageCounts(("a", "b"), np.ones((1, 3), int), np.ones((1, 3), int))
    write_counts(counts, tmp_path / "counts.npz")
    with pytest.raises(SegError, match="not the counts of an evaluation"):
        read_counts(tmp_path / "counts.npz")


def _counts(rng, images=40):
    confusions = {f"{i:02}": rng.integers(0, 60, (3, 3)) for i in range(images)}
    counts = ImageCounts.of(confusions)
    near = counts.union // 2
    return replace(counts, boundary_correct=near // 2, boundary_union=near), confusions


@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("miou", lambda counts: counts.miou),
        ("mean_dice", lambda counts: counts.mean_dice),
        ("pixel_accuracy", lambda counts: counts.pixel_accuracy),
        ("miou_frequency_weighted", lambda counts: counts.miou_frequency_weighted),
    ],
)
def test_intervals_are_those_of_scipy(name, score):
    from scipy.stats import bootstrap

    counts, confusions = _counts(np.random.default_rng(10))
    stacked = np.stack(list(confusions.values()))

    def statistic(places):
        return score(Scores(stacked[places].sum(0)))

    expected = bootstrap(
        (np.arange(len(stacked)),),
        statistic,
        n_resamples=4000,
        vectorized=False,
        method="percentile",
        rng=1,
    )
    low, high = expected.confidence_interval
    (found,) = intervals(counts, resamples=4000)[name]
    # Two draws of 4000: the ends differ by their own luck, a few % of the width.
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.1 * (high - low))
    assert found.estimate == pytest.approx(statistic(np.arange(len(stacked))))


def test_intervals_do_not_depend_on_the_order_of_the_images():
    counts, _ = _counts(np.random.default_rng(11))
    turned = counts.take(reversed(range(len(counts.stems))))
    assert intervals(counts, resamples=200) == intervals(turned, resamples=200)
    assert {"boundary_miou", "class_boundary_iou"} <= intervals(counts).keys()


def test_a_class_that_never_occurs_has_no_interval_of_its_own():
    counts, _ = _counts(np.random.default_rng(12))
    for array in counts.arrays.values():
        array[:, 1] = 0
    found = intervals(counts, resamples=200)
    assert np.isnan(found["class_iou"][1].low)
    assert not np.isnan(found["miou"][0].low)


def test_p_values_are_corrected_for_their_number():
    # Holm by hand: 3 × 0.01, then 2 × 0.03, then 0.04, which must not fall below it.
    assert adjusted([0.04, 0.01, 0.03, np.nan])[:3] == pytest.approx([0.06, 0.03, 0.06])
    assert np.isnan(adjusted([0.04, np.nan])[1])


def test_equal_models_are_told_apart_by_chance_in_about_a_twentieth_at_most():
    rng, found = np.random.default_rng(13), 0
    for _ in range(200):
        images = draw_images(rng, 60)
        pair = [draw_model(rng, images), draw_model(rng, images)]
        found += compare(*pair, resamples=400).miou_p < 0.05
    assert found / 200 <= 0.09
