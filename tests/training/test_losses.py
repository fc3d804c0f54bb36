"""Each loss against NumPy in float64, written from the papers without Keras."""

import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from seglib.errors import UsageError
from seglib.loss_formula import LOSSES, parse_loss
from seglib.training.losses import build_loss

CLASSES, IGNORED = 4, 9
WEIGHTS = (1.0, 2.0, 0.5, 3.0)
FORMULAS = (
    *LOSSES,
    "cross_entropy(label_smoothing=0.1)",
    "focal(gamma=0.5)",
    "ohem(min_kept=0.3, threshold=0.2)",
    "tversky(alpha=1, beta=2)",
    "boundary(width=2, tolerance=1)",
    "focal + 0.5 * dice + 2 * lovasz",
)


@pytest.fixture
def batch():
    """Masks with ignored pixels and an absent class, and logits."""
    rng = np.random.default_rng(0)
    masks = rng.integers(0, CLASSES - 1, (2, 9, 12))
    masks[0, :2] = masks[1, 3:5, 4:] = IGNORED
    return masks, 2 * rng.normal(size=(2, 9, 12, CLASSES))


def loss_of(formula, masks, logits, *, weights=WEIGHTS):
    loss = build_loss(parse_loss(formula), ignore_index=IGNORED, class_weights=weights)
    return float(loss(masks, logits.astype("float32")))


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def log_likelihoods(masks, logits):
    """Weight and −log p of each pixel that counts, in the order of the pixels."""
    counts = masks != IGNORED
    ids, p = masks[counts], softmax(logits[counts])
    return np.array(WEIGHTS)[ids], -np.log(p[np.arange(len(ids)), ids])


def tversky(masks, logits, alpha, beta):
    counts = masks != IGNORED
    ids, p = masks[counts], softmax(logits[counts])
    losses, weights = [], []
    for c in np.unique(ids):
        hit = p[ids == c, c].sum()
        false_positive, false_negative = p[ids != c, c].sum(), (ids == c).sum() - hit
        losses.append(1 - hit / (hit + alpha * false_positive + beta * false_negative))
        weights.append(WEIGHTS[c])
    return np.average(losses, weights=weights)


def lovasz(masks, logits):
    """The sum over k of the k-th largest error times what IoU loses by it."""
    images = []
    for mask, own in zip(masks, softmax(logits), strict=True):
        ids, p = mask[mask != IGNORED], own[mask != IGNORED]
        losses = []
        for c in np.unique(ids):
            true = ids == c
            errors = np.abs(true - p[:, c])
            wrong, before, total = np.zeros(len(ids), bool), 0.0, 0.0
            for index in np.argsort(-errors, kind="stable"):
                wrong[index] = True
                after = wrong.sum() / (true | wrong).sum()
                total += errors[index] * (after - before)
                before = after
            losses.append(total)
        images.append(np.average(losses, weights=[WEIGHTS[c] for c in np.unique(ids)]))
    return np.mean(images)


def boundary(masks, logits, width, tolerance):
    def widened(plane, pixels):
        height, length = plane.shape
        return np.array(
            [
                [
                    plane[
                        max(0, y - pixels) : y + pixels + 1,
                        max(0, x - pixels) : x + pixels + 1,
                    ].max()
                    for x in range(length)
                ]
                for y in range(height)
            ]
        )

    images = []
    for mask, own in zip(masks, softmax(logits), strict=True):
        counted = mask != IGNORED
        inside = 1 - widened(1.0 - counted, width)
        losses, weights = [], []
        for c in range(CLASSES):
            true, p = (mask == c) * 1.0, own[..., c] * counted
            true_edge = inside * (widened(1 - true, width) - (1 - true))
            edge = inside * (widened(1 - p, width) - (1 - p))
            if not true_edge.any():
                continue
            precision = (edge * widened(true_edge, tolerance)).sum() / edge.sum()
            recall = (true_edge * widened(edge, tolerance)).sum() / true_edge.sum()
            losses.append(1 - 2 * precision * recall / (precision + recall))
            weights.append(WEIGHTS[c])
        images.append(np.average(losses, weights=weights))
    return np.mean(images)


def ohem(masks, logits, min_kept, threshold):
    kept_weights, kept = [], []
    for mask, own in zip(masks, logits, strict=True):
        weight, nll = log_likelihoods(mask[None], own[None])
        least = np.sort(nll)[::-1][round(min_kept * mask.size) - 1]
        hard = nll >= min(least, -math.log(threshold))
        kept_weights.extend(weight[hard])
        kept.extend(nll[hard])
    return np.average(kept, weights=kept_weights)


def test_cross_entropy_equals_scikit_learns_over_the_counted_pixels(batch):
    masks, logits = batch
    counts = masks != IGNORED
    expected = log_loss(
        masks[counts],
        softmax(logits[counts]),
        labels=range(CLASSES),
        sample_weight=np.array(WEIGHTS)[masks[counts]],
    )
    assert loss_of("cross_entropy", masks, logits) == pytest.approx(expected, rel=1e-5)


def test_label_smoothing_is_cross_entropy_with_targets_that_are_spread(batch):
    masks, logits = batch
    counts = masks != IGNORED
    targets = 0.9 * np.eye(CLASSES)[masks[counts]] + 0.1 / CLASSES
    each = -(targets * np.log(softmax(logits[counts]))).sum(-1)
    expected = np.average(each, weights=np.array(WEIGHTS)[masks[counts]])
    found = loss_of("cross_entropy(label_smoothing=0.1)", masks, logits)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_weighs_each_pixel_by_its_error(batch, gamma):
    weight, nll = log_likelihoods(*batch)
    expected = ((1 - np.exp(-nll)) ** gamma * nll * weight).sum() / weight.sum()
    found = loss_of(f"focal(gamma={gamma})", *batch)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("min_kept", "threshold"), [(0.3, 0.2), (0.05, 0.7)])
def test_hard_examples_are_below_the_threshold_or_the_hardest(
    batch, min_kept, threshold
):
    found = loss_of(f"ohem(min_kept={min_kept}, threshold={threshold})", *batch)
    assert found == pytest.approx(ohem(*batch, min_kept, threshold), rel=1e-5)


@pytest.mark.parametrize(
    ("formula", "alpha", "beta"),
    [
        ("dice", 0.5, 0.5),
        ("jaccard", 1, 1),
        ("tversky", 0.3, 0.7),
        ("tversky(alpha=2, beta=1)", 2, 1),
    ],
)
def test_overlap_losses_count_softly_over_the_batch(batch, formula, alpha, beta):
    expected = tversky(*batch, alpha, beta)
    assert loss_of(formula, *batch) == pytest.approx(expected, rel=1e-5)


def test_lovasz_is_the_loss_of_iou_along_sorted_errors(batch):
    assert loss_of("lovasz", *batch) == pytest.approx(lovasz(*batch), rel=1e-5)


@pytest.mark.parametrize(("width", "tolerance"), [(1, 2), (2, 1)])
def test_boundary_loss_is_the_f1_score_of_soft_boundaries(batch, width, tolerance):
    found = loss_of(f"boundary(width={width}, tolerance={tolerance})", *batch)
    assert found == pytest.approx(boundary(*batch, width, tolerance), rel=1e-5)


def test_a_sum_adds_its_losses_times_their_factors(batch):
    expected = (
        loss_of("focal", *batch)
        + 0.5 * loss_of("dice", *batch)
        + 2 * loss_of("lovasz", *batch)
    )
    found = loss_of("focal + 0.5 * dice + lovasz * 2", *batch)
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("formula", FORMULAS)
def test_logits_of_ignored_pixels_change_neither_loss_nor_gradient(batch, formula):
    masks, logits = batch
    rng = np.random.default_rng(1)
    other = np.where(
        (masks == IGNORED)[..., None], 5 * rng.normal(size=logits.shape), logits
    )
    assert loss_of(formula, masks, other) == pytest.approx(
        loss_of(formula, masks, logits), rel=1e-6
    )
    slopes = gradient(formula, masks, logits)
    assert np.isfinite(slopes).all()
    assert not slopes[masks == IGNORED].any()
    assert slopes[masks != IGNORED].any()


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_batch_without_a_counted_pixel_has_loss_zero(formula):
    masks, logits = np.full((1, 4, 5), IGNORED), np.ones((1, 4, 5, CLASSES))
    assert loss_of(formula, masks, logits) == 0
    assert not gradient(formula, masks, logits).any()


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_right_answer_costs_less_than_a_wrong_one(batch, formula):
    masks, _ = batch
    right = 12 * np.eye(CLASSES)[np.where(masks == IGNORED, 0, masks)]
    assert loss_of(formula, masks, right) < 0.5 * loss_of(formula, masks, -right)


@pytest.mark.parametrize("formula", FORMULAS)
def test_the_sums_of_two_parts_give_the_loss_of_the_whole_batch(batch, formula):
    masks, logits = batch
    logits = logits.astype("float32")
    loss = build_loss(parse_loss(formula), ignore_index=IGNORED, class_weights=WEIGHTS)
    parts = [loss.sums(masks[i : i + 1], logits[i : i + 1]) for i in range(2)]
    added = keras.tree.map_structure(lambda a, b: a + b, *parts)
    assert float(loss.value(added)) == pytest.approx(float(loss(masks, logits)), 1e-6)


@pytest.mark.parametrize("formula", FORMULAS)
def test_half_precision_logits_give_the_same_loss(batch, formula):
    masks, logits = batch
    half = keras.ops.cast(logits, "bfloat16")
    loss = build_loss(parse_loss(formula), ignore_index=IGNORED, class_weights=WEIGHTS)
    found = loss(masks, half)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    assert float(found) == pytest.approx(loss_of(formula, masks, logits), rel=0.02)


@given(seed=st.integers(0, 2**16), ids=st.integers(1, CLASSES))
@settings(max_examples=8)
def test_every_loss_is_finite_and_not_below_zero(seed, ids):
    rng = np.random.default_rng(seed)
    masks = np.where(
        rng.random((1, 6, 7)) < 0.3, IGNORED, rng.integers(0, ids, (1, 6, 7))
    )
    logits = 30 * rng.normal(size=(1, 6, 7, CLASSES))
    for formula in FORMULAS:
        assert 0 <= loss_of(formula, masks, logits) < math.inf


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dyce", "Unknown loss: `dyce`. Did you mean `dice`?"),
        ("focal(gama=2)", "Unknown option of focal: `gama`. Did you mean `gamma`?"),
        ("focal(gamma=-1)", "`gamma` of focal must lie in [0, 10]. Received: -1."),
        ("dice(smooth=1)", "`dice` has no options"),
        ("-1 * dice", "a factor must be > 0. Received: -1."),
        ("0 * dice", "a factor must be > 0. Received: 0."),
        ("dice - focal", "must be a loss or a sum of them"),
        ("", "must be a loss or a sum of them"),
        ("focal(2)", "must be a loss or a sum of them"),
        ("focal(gamma=True)", "must be a loss or a sum of them"),
        ("__import__('os').system('true')", "must be a loss or a sum of them"),
    ],
)
def test_a_loss_that_cannot_be_is_refused_with_the_way_out(text, message):
    with pytest.raises(UsageError) as error:
        parse_loss(text)
    assert message in str(error.value)


def gradient(formula, masks, logits):
    """Of the loss by the logits, float32 (N, H, W, C)."""
    import tensorflow as tf

    loss = build_loss(parse_loss(formula), ignore_index=IGNORED, class_weights=WEIGHTS)
    given = tf.constant(logits.astype("float32"))
    with tf.GradientTape() as tape:
        tape.watch(given)
        value = loss(masks, given)
    return tape.gradient(value, given).numpy()
