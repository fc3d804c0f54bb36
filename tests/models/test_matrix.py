"""Every architecture on every family of encoders; `make test-slow`."""

import keras
import numpy as np
import pytest

from seglib.models import ARCHITECTURES, ENCODERS, NAMES, build_model
from seglib.models.architectures import fitting_encoders

pytestmark = pytest.mark.slow

FAMILIES = [
    *(
        "compact",
        "compact_small",
        "mini",
        "plain",
        "vanilla",
        "efficientnet_lite0",
        "vgg16",
    ),
    *("resnet50", "resnet50v2", "mobilenet", "mobilenetv2", "mobilenetv3_small"),
    *("mobilenetv3_large", "efficientnetb0", "efficientnetv2b0", "efficientnetv2s"),
    *("densenet121", "convnext_tiny", "mit_b0"),
]


@pytest.fixture(autouse=True)
def _free():
    yield
    keras.utils.clear_session(free_memory=True)


def _answers(name, encoder=None):
    model = build_model(name, num_classes=3, image_size=(64, 96), encoder=encoder)
    logits = model.network(np.zeros((1, 37, 53, 3), np.uint8), training=False)
    assert tuple(logits.shape) == (1, 37, 53, 3)
    assert np.isfinite(np.asarray(logits)).all()


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        (name, encoder)
        for name in ARCHITECTURES
        for encoder in FAMILIES
        if encoder in fitting_encoders(name)
    ],
)
def test_every_pair_of_network_and_encoder_answers_at_the_images_size(name, encoder):
    _answers(name, encoder)


@pytest.mark.parametrize("encoder", sorted(set(ENCODERS) - set(FAMILIES)))
def test_every_encoder_of_a_family_answers_at_the_images_size(encoder):
    _answers("unet", encoder)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_keras_segmentation_answers_at_the_images_size(name):
    _answers(name)
