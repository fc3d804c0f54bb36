import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix as sklearn_confusion
from sklearn.metrics import jaccard_score, precision_recall_fscore_support

from seglib.errors import SegError
from seglib.evaluation.metrics import MeanIoU, Scores, confusion_matrix

VOID = 255


@st.composite
def masks_and_predictions(draw):
    """Random masks with void, in which some classes never occur."""
    num_classes = draw(st.integers(2, 12))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    shape = (
        draw(st.integers(1, 3)),
        draw(st.integers(1, 24)),
        draw(st.integers(1, 24)),
    )
    present = rng.choice(num_classes, rng.integers(1, num_classes + 1), replace=False)
    mask = rng.choice(present, shape).astype(np.uint8)
    mask[rng.random(shape) < 0.2] = VOID
    prediction = rng.choice(present, shape).astype(np.uint8)
    return num_classes, mask, prediction


@given(masks_and_predictions())
@settings(max_examples=200)
def test_scores_equal_scikit_learn_to_the_last_digit(case):
    num_classes, mask, prediction = case
    counted = mask != VOID
    true, guess = mask[counted], prediction[counted]
    ours = confusion_matrix(
        mask, prediction, num_classes=num_classes, ignore_index=VOID
    )
    if not true.size:
        assert ours.sum() == 0
        assert np.isnan(Scores(ours).miou)
        return
    labels = np.arange(num_classes)
    assert (ours == sklearn_confusion(true, guess, labels=labels)).all()
    occurring = np.union1d(true, guess)
    expected = jaccard_score(true, guess, labels=occurring, average=None)
    iou = Scores(ours).class_iou
    assert (iou[occurring] == expected).all()
    assert np.isnan(np.delete(iou, occurring)).all()
    assert Scores(ours).miou == expected.mean()
    assert Scores(ours).pixel_accuracy == (true == guess).sum() / true.size
    precision, recall, dice, _ = precision_recall_fscore_support(
        true, guess, labels=labels, zero_division=np.nan
    )
    np.testing.assert_array_equal(Scores(ours).class_precision, precision)
    np.testing.assert_array_equal(Scores(ours).class_recall, recall)
    np.testing.assert_array_equal(Scores(ours).class_dice, dice)


@pytest.mark.slow
def test_scores_equal_torchmetrics_to_its_last_digit():
    """It counts in int64, and divides in float32."""
    reason = "pip install torch torchmetrics, into an environment that sees this one"
    torch = pytest.importorskip("torch", reason=reason)
    functional = pytest.importorskip(
        "torchmetrics.functional.classification", reason=reason
    )
    rng = np.random.default_rng(0)
    for num_classes in (2, 5, 19):
        mask, prediction = rng.integers(0, num_classes, (2, 4, 61, 83))
        mask[rng.random(mask.shape) < 0.2] = VOID
        pair = torch.from_numpy(prediction), torch.from_numpy(mask)
        options = {"num_classes": num_classes, "ignore_index": VOID}
        ours = confusion_matrix(mask, prediction, **options)
        theirs = functional.multiclass_confusion_matrix(*pair, **options)
        assert (ours == theirs.numpy()).all()
        scores = Scores(ours)
        for found, expected in (
            (scores.class_iou, functional.multiclass_jaccard_index),
            (scores.class_dice, functional.multiclass_f1_score),
            (scores.class_precision, functional.multiclass_precision),
            (scores.class_recall, functional.multiclass_recall),
        ):
            value = expected(*pair, average="none", **options).numpy()
            assert np.abs(found.astype(np.float32) - value).max() <= 1.2e-7, expected


def test_counts_of_batches_add_up_to_the_counts_of_the_whole():
    rng = np.random.default_rng(3)
    mask, prediction = rng.integers(0, 5, (2, 8, 16, 16))
    whole = confusion_matrix(mask, prediction, num_classes=5)
    halves = [
        confusion_matrix(mask[part], prediction[part], num_classes=5)
        for part in (slice(0, 3), slice(3, 8))
    ]
    assert (sum(halves) == whole).all()


def test_a_perfect_predictor_of_one_class_among_five_scores_one():
    mask = np.full((4, 4), 2)
    scores = Scores(confusion_matrix(mask, mask, num_classes=5))
    assert scores.miou == 1.0
    assert np.isnan(np.delete(scores.class_iou, 2)).all()


def test_the_ratios_are_those_worked_by_hand():
    # true 0: 3 pixels right, 1 taken for 1; true 1: 2 right, 2 taken for 0.
    scores = Scores(np.array([[3, 1], [2, 2]]))
    assert scores.class_iou.tolist() == [3 / 6, 2 / 5]
    assert scores.miou == (0.5 + 0.4) / 2
    assert scores.class_recall.tolist() == [3 / 4, 2 / 4]
    assert scores.class_precision.tolist() == [3 / 5, 2 / 3]
    assert scores.miou_frequency_weighted == pytest.approx(0.5 * 0.5 + 0.5 * 0.4)
    assert scores.pixel_accuracy == 5 / 8
    # All pixels taken for class 0: IoU 4/8 for it, 0/4 for the other.
    assert scores.baseline_miou == 0.25


def test_an_ignored_id_inside_the_range_is_not_counted():
    mask = np.array([[0, 1, 1, 2]])
    counts = confusion_matrix(mask, np.zeros_like(mask), num_classes=3, ignore_index=1)
    assert counts.tolist() == [[1, 0, 0], [0, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize(
    ("mask", "prediction"),
    [([[0, 37]], [[0, 0]]), ([[0, 1]], [[0, 5]]), ([[-1, 0]], [[0, 0]])],
)
def test_an_id_out_of_range_is_an_error_and_never_dropped(mask, prediction):
    with pytest.raises(SegError, match=r"Received: (mask|predicted) ids \[(37|5|-1)\]"):
        confusion_matrix(np.array(mask), np.array(prediction), num_classes=2)


def test_different_shapes_are_refused():
    with pytest.raises(SegError, match=r"\(2, 2\) and \(2, 3\)"):
        confusion_matrix(np.zeros((2, 2), int), np.zeros((2, 3), int), num_classes=2)


def test_sixteen_bit_ids_are_counted():
    mask = np.array([[299, 0, 65535]], np.uint16)
    counts = confusion_matrix(mask, mask % 300, num_classes=300, ignore_index=65535)
    assert counts[299, 299] == 1
    assert counts[0, 0] == 1
    assert counts.sum() == 2


def test_the_metric_inside_the_graph_agrees_with_the_counts():
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 4, (2, 3, 9, 7))
    masks[0, 0] = VOID
    logits = rng.normal(size=(2, 3, 9, 7, 5)).astype("float32")
    metric = MeanIoU(5, VOID)
    for mask, answer in zip(masks, logits, strict=True):
        metric.update_state(keras.ops.convert_to_tensor(mask), answer)
    counts = confusion_matrix(
        masks, logits.argmax(-1), num_classes=5, ignore_index=VOID
    )
    assert float(metric.result()) == pytest.approx(Scores(counts).miou, abs=1e-6)
