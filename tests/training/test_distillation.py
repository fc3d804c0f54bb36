import numpy as np
import pytest

from seglib.config import TrainConfig
from seglib.errors import UsageError
from seglib.models import build_custom, build_model
from seglib.steps.train import train
from seglib.training.distillation import (
    Distillation,
    Distiller,
    _divergence,
    _similarities,
)


def _build(name, num_classes, encoder=None):
    return build_model(
        name, num_classes=num_classes, image_size=(64, 96), encoder=encoder
    )


def test_the_divergence_is_that_of_the_softened_probabilities():
    rng = np.random.default_rng(0)
    known, logits = rng.normal(size=(2, 2, 3, 4, 5)).astype("float32")
    p, q = (np.exp(x / 2) for x in (known, logits))
    p, q = (x / x.sum(-1, keepdims=True) for x in (p, q))
    expected = 4 * (p * np.log(p / q)).sum(-1).mean()
    assert float(_divergence(known, logits, 2.0)) == pytest.approx(expected, rel=1e-4)
    assert float(_divergence(known, known, 2.0)) == pytest.approx(0, abs=1e-6)


def test_similarities_are_cosines():
    features = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype("float32")
    cells = features.reshape(64, 3)
    norms = np.linalg.norm(cells, axis=1)
    expected = cells @ cells.T / np.outer(norms, norms)
    assert np.asarray(_similarities(features))[0] == pytest.approx(expected, abs=1e-4)


def test_a_student_comes_nearer_to_its_teacher(trained, tiny_dataset):
    classes = tiny_dataset.num_classes
    images = [pair.image for pair in tiny_dataset.pairs("val")]
    known = [trained.model.predict_probabilities(image) for image in images]
    before = trained.model.network.get_weights()

    def distance(distillation):
        import keras

        keras.utils.set_random_seed(0)
        student = _build("unet", classes, "mini")
        config = TrainConfig(
            epochs=30,
            batch_size=4,
            learning_rate=3e-3,
            warmup_steps=5,
            validate_every=30,
        )
        train(student, tiny_dataset, config=config, distillation=distillation)
        answers = [student.predict_probabilities(image) for image in images]
        return np.mean(
            [np.abs(a - b).mean() for a, b in zip(answers, known, strict=True)]
        )

    taught = Distillation(
        teacher=trained.model, logits_weight=10.0, pairwise_weight=1.0
    )
    alone, with_teacher = distance(None), distance(taught)
    assert with_teacher < alone
    after = trained.model.network.get_weights()
    assert all((a == b).all() for a, b in zip(before, after, strict=True))


def test_a_teacher_of_other_classes_is_refused():
    options = Distillation(teacher=_build("compact", 5))
    with pytest.raises(UsageError, match="Received: 5 and 3"):
        Distiller(_build("compact", 3).network, options)


def test_similarities_need_encoders():
    import keras

    inputs = keras.Input((None, None, 3))
    custom = build_custom(
        inputs, keras.layers.Conv2D(3, 1)(inputs), image_size=(64, 96)
    )
    options = Distillation(teacher=_build("compact", 3), pairwise_weight=1.0)
    with pytest.raises(UsageError, match="Set it to 0 to distil the logits alone"):
        Distiller(custom.network, options)
