"""One battery that every architecture passes."""

import keras
import numpy as np
import pytest

from seglib.artifact import load_model
from seglib.errors import SegError, UsageError
from seglib.losses import CrossEntropy
from seglib.models import ARCHITECTURES, build_model, build_network
from seglib.models.encoders import ENCODERS

PARAMETERS = {  # of 11 classes and RGB
    ("compact", "compact"): 1359067,
    ("compact", "efficientnet_lite0"): 3394059,
    ("unet", "plain"): 1967211,
    ("unet", "efficientnet_lite0"): 813947,
    ("fcn_8", "plain"): 3062769,
    ("fcn_16", "plain"): 3152342,
    ("fcn_32", "plain"): 3519291,
    ("fcn_8", "efficientnet_lite0"): 3842537,
}
OWN = [(name, a.encoder) for name, a in ARCHITECTURES.items()]


def _build(name, encoder, *, channels=3, num_classes=11, image_size=(64, 96)):
    return build_model(
        name,
        num_classes=num_classes,
        image_size=image_size,
        channels=channels,
        encoder=encoder,
    )


@pytest.fixture(scope="module", params=OWN, ids="-".join)
def model(request):
    keras.utils.set_random_seed(1)
    return _build(*request.param, num_classes=4)


@pytest.mark.parametrize(("name", "encoder"), PARAMETERS)
def test_the_number_of_parameters_is_the_one_on_record(name, encoder):
    network = _build(name, encoder).network
    assert network.count_params() == PARAMETERS[name, encoder]


def test_every_architecture_is_on_record():
    assert {name for name, _ in PARAMETERS} == set(ARCHITECTURES)


@pytest.mark.parametrize("size", [(33, 47), (64, 64), (61, 130), (16, 16)])
def test_logits_are_float32_and_have_the_size_of_the_input(model, size):
    logits = model.network.predict_on_batch(np.zeros((1, *size, 3), np.uint8))
    assert logits.shape == (1, *size, 4)
    assert logits.dtype == np.float32


@pytest.mark.parametrize("size", [(240, 320), (37, 53)])
def test_a_prediction_has_the_size_of_its_image(model, size):
    mask = model.predict(np.zeros((*size, 3), np.uint8))
    assert mask.shape == size
    assert mask.dtype == np.uint8


def test_gradients_reach_every_weight(model):
    import tensorflow as tf

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 64, 96, 3)).astype("float32")
    masks = rng.integers(0, 4, (2, 64, 96))
    with tf.GradientTape() as tape:
        loss = CrossEntropy()(masks, model.network(images, training=True))
    weights = model.network.trainable_weights
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    dead = [
        weight.path
        for weight, gradient in zip(weights, gradients, strict=True)
        if gradient is None or not np.any(np.asarray(gradient))
    ]
    assert not dead


def test_a_saved_model_gives_the_same_logits(model, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3)).astype(np.uint8)
    again = load_model(model.save(tmp_path / "model"))
    assert again.contract == model.contract
    assert (again.predict_logits(image) == model.predict_logits(image)).all()


def test_shifting_the_image_shifts_the_answer(model):
    """By the deepest stride, so that every feature map shifts by whole pixels."""
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 768, 3)).astype("float32")
    if model.contract.architecture == "compact":
        pytest.skip("compact sees the average of the whole image: it depends on it")
    shifted = np.roll(image, 32, axis=2)
    logits = model.network.predict_on_batch(image)
    moved = model.network.predict_on_batch(shifted)
    # So far from left and right that neither is seen.
    inside = (slice(None), slice(None), slice(368, 400))
    expected = np.roll(logits, 32, axis=2)[inside]
    assert moved[inside] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_images_need_not_be_rgb(name, channels, tmp_path):
    model = _build(name, None, channels=channels, num_classes=2)
    image = np.zeros((40, 56, channels), np.uint8)
    again = load_model(model.save(tmp_path / "model"))
    assert again.predict(image).shape == (40, 56)


def test_a_bfloat16_network_answers_in_float32_with_the_same_weights():
    model = _build("compact", None, num_classes=3)
    network = build_network(model.contract, precision="bfloat16")
    network.set_weights(model.network.get_weights())
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)).astype("float32")
    logits = network.predict_on_batch(images)
    assert logits.dtype == np.float32
    difference = np.abs(logits - model.network.predict_on_batch(images))
    assert 0 < difference.mean() < 0.2 * logits.std()
    assert keras.config.dtype_policy().name == "float32"


def test_unknown_names_are_refused_and_the_nearest_is_named():
    with pytest.raises(
        UsageError, match=r"Unknown model: `unett`\. Did you mean `unet`"
    ):
        _build("unett", None)
    with pytest.raises(UsageError, match="Did you mean `efficientnet_lite0`"):
        _build("unet", "efficientnet_lit0")


def test_weights_that_do_not_fit_are_refused():
    fits = {"num_classes": 2, "image_size": (64, 64)}
    with pytest.raises(UsageError, match="has no ImageNet weights. These have: effic"):
        build_model("unet", weights="imagenet", **fits)
    with pytest.raises(UsageError, match="channels=1"):
        build_model(
            "unet",
            encoder="efficientnet_lite0",
            weights="imagenet",
            channels=1,
            **fits,
        )
    with pytest.raises(UsageError, match="Unknown weights: `cityscapes`"):
        build_model("unet", weights="cityscapes", **fits)


def test_one_class_or_a_tiny_image_is_refused():
    with pytest.raises(UsageError, match="num_classes=1"):
        _build("unet", None, num_classes=1)
    with pytest.raises(UsageError, match=r"image_size=\(8, 96\)"):
        _build("unet", None, image_size=(8, 96))


def test_an_image_of_other_channels_is_refused():
    model = _build("compact", None)
    with pytest.raises(SegError, match=r"uint8 \(height, width, 3\)"):
        model.predict(np.zeros((40, 40, 4), np.uint8))
    with pytest.raises(SegError, match="float64"):
        model.predict(np.zeros((40, 40, 3)))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_features_have_the_stride_of_their_level(encoder):
    images = keras.Input((96, 160, 3))
    features = ENCODERS[encoder].build(images)
    for name, feature in features.items():
        stride = 2 ** int(name[1:])
        assert feature.shape[1:3] == (96 // stride, 160 // stride)
    assert {"P1", "P2", "P3", "P4", "P5"} <= features.keys()
