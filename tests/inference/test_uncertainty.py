import numpy as np
import pytest

from seglib.errors import UsageError
from seglib.inference.uncertainty import predict_uncertainty
from seglib.models import build_model

IMAGE = np.random.default_rng(0).integers(0, 256, (37, 53, 3)).astype(np.uint8)


def _build(name):
    return build_model(name, num_classes=3, image_size=(32, 48), encoder=None)


def test_samples_differ_and_their_mean_is_told():
    model = _build("bayesian_segnet")
    found = predict_uncertainty(model, IMAGE, samples=4)
    assert found.prediction.shape == (37, 53)
    assert found.prediction.dtype == np.uint8
    assert found.probabilities.shape == (37, 53, 3)
    assert found.probabilities.sum(-1) == pytest.approx(1, abs=1e-5)
    # Entropy of three classes is at most ln 3; disagreement is a part of it.
    assert (found.entropy <= np.log(3) + 1e-5).all()
    assert (found.disagreement <= found.entropy + 1e-5).all()
    assert found.disagreement.max() > 1e-6


def test_the_model_itself_stays_certain():
    model = _build("fcn_8")
    before = model.predict_logits(IMAGE)
    predict_uncertainty(model, IMAGE, samples=2)
    assert (model.predict_logits(IMAGE) == before).all()


def test_a_model_without_dropout_is_refused():
    with pytest.raises(UsageError, match="`unet` has no dropout to sample"):
        predict_uncertainty(_build("unet"), IMAGE)
    with pytest.raises(UsageError, match="samples=1"):
        predict_uncertainty(_build("fcn_8"), IMAGE, samples=1)
