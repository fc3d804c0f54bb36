import numpy as np
import pytest
from sklearn.metrics import log_loss

from seglib.training.losses import CrossEntropy, class_weights


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return powers / powers.sum(-1, keepdims=True)


def test_the_loss_equals_scikit_learns_over_the_counted_pixels():
    rng = np.random.default_rng(0)
    mask, logits = rng.integers(0, 4, (2, 5, 6)), rng.normal(size=(2, 5, 6, 4))
    mask[0, 0] = 255
    counted, weights = mask != 255, [1.0, 2.0, 0.5, 3.0]
    loss = CrossEntropy(ignore_index=255, class_weights=weights)(
        mask, logits.astype("float32")
    )
    expected = log_loss(
        mask[counted],
        _softmax(logits[counted]),
        labels=range(4),
        sample_weight=np.array(weights)[mask[counted]],
    )
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_ignored_pixels_do_not_change_the_loss():
    rng = np.random.default_rng(1)
    mask, logits = rng.integers(0, 3, (1, 4, 4)), rng.normal(size=(1, 4, 4, 3))
    loss = CrossEntropy(ignore_index=9)
    alone = loss(mask, logits.astype("float32"))
    wider_mask = np.concatenate([mask, np.full((1, 4, 4), 9)], axis=2)
    wider = np.concatenate([logits, 50 * rng.normal(size=logits.shape)], axis=2)
    assert float(loss(wider_mask, wider.astype("float32"))) == pytest.approx(
        float(alone), rel=1e-6
    )


def test_an_image_of_void_alone_gives_zero_and_not_nan():
    loss = CrossEntropy(ignore_index=1)(np.ones((1, 2, 2), int), np.zeros((1, 2, 2, 3)))
    assert float(loss) == 0.0


def test_class_weights_are_those_worked_by_hand():
    # Shares .75 and .25; their inverse roots 1.1547 and 2; mean over pixels 1.366.
    weights = class_weights(np.array([300, 100, 0]), 0.5)
    assert weights[:2] == pytest.approx([1.1547 / 1.3660, 2 / 1.3660], rel=1e-4)
    assert weights[2] == 1.0
    assert class_weights(np.array([300, 100]), 0.0).tolist() == [1.0, 1.0]
