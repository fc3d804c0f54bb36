"""One battery that every architecture passes."""

import keras
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seglib.catalogue import fitting_encoders
from seglib.errors import SegError, UsageError
from seglib.models import ARCHITECTURES, NAMES, build_model, build_network
from seglib.models.decoders import build_segnet
from seglib.models.features import Features
from seglib.models.model import load_model
from seglib.training.losses import CrossEntropy

PARAMETERS = {  # of 11 classes and RGB
    ("compact", "compact"): 1359067,
    ("compact", "efficientnet_lite0"): 3394059,
    ("compact_small", "compact_small"): 567535,
    ("unet", "plain"): 4920427,
    ("unet", "efficientnet_lite0"): 3644571,
    ("unet_plus_plus", "plain"): 5244971,
    ("fpn", "efficientnet_lite0"): 3471851,
    ("linknet", "efficientnet_lite0"): 3115035,
    ("pspnet", "vanilla"): 3254091,
    ("deeplab_v3_plus", "efficientnet_lite0"): 3910299,
    ("segformer", "mit_b0"): 3717483,
    ("segformer_wide", "mit_b2"): 27356619,
    ("fcn_8", "plain"): 3062769,
    ("fcn_8", "efficientnet_lite0"): 3837092,
    ("fcn_16", "plain"): 3152342,
    ("fcn_32", "plain"): 3519291,
    ("segnet", "vanilla"): 3111307,
    ("segnet_plain", "vanilla"): 3111307,
    ("bayesian_segnet", "vanilla"): 3111307,
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
    return _build(*request.param)


def test_the_number_of_parameters_is_the_one_on_record(model):
    name, encoder = model.contract.architecture, model.contract.encoder
    assert model.network.count_params() == PARAMETERS[name, encoder]


@pytest.mark.parametrize("pair", [pair for pair in PARAMETERS if pair not in OWN])
def test_the_number_of_parameters_on_other_encoders_is_the_one_on_record(pair):
    assert _build(*pair).network.count_params() == PARAMETERS[pair]


def test_logits_are_float32_and_have_the_size_of_the_input(model):
    """Any size, in one graph that was traced before any was known."""
    import tensorflow as tf

    answer = tf.function(
        lambda images: model.network(images, training=False),
        input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)],
    )

    @settings(max_examples=8)
    @given(st.integers(1, 2), st.integers(1, 140), st.integers(1, 140))
    @example(1, 64, 64)
    @example(1, 1, 1)
    def check(images, height, width):
        logits = answer(np.zeros((images, height, width, 3), np.uint8))
        assert logits.shape == (images, height, width, 11)
        assert logits.dtype == tf.float32

    check()


def test_gradients_reach_every_weight(model):
    import tensorflow as tf

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 64, 96, 3)).astype("float32")
    masks = rng.integers(0, 11, (2, 64, 96))
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
    logits = model.predict_logits(image)
    assert (again.predict_logits(image) == logits).all()
    mask = model.predict(image)
    assert mask.shape == (50, 70)
    assert mask.dtype == np.uint8
    assert (mask == logits.argmax(-1)).all()


SEES_THE_WHOLE = {"compact", "compact_small", "deeplab_v3_plus", "pspnet"}
SEES_THE_WHOLE |= {"segformer", "segformer_wide"}


def test_shifting_the_image_shifts_the_answer(model):
    """By the deepest stride, so that every feature map shifts by whole pixels."""
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 768, 3)).astype("float32")
    if model.contract.architecture in SEES_THE_WHOLE:
        pytest.skip("it sees averages of the whole image, and depends on them")
    shifted = np.roll(image, 32, axis=2)
    logits = model.network.predict_on_batch(image)
    moved = model.network.predict_on_batch(shifted)
    # So far from left and right that neither is seen.
    inside = (slice(None), slice(None), slice(368, 400))
    expected = np.roll(logits, 32, axis=2)[inside]
    assert moved[inside] == pytest.approx(expected, abs=1e-3)


# Of another width, or the coarser ones of three: their cells are those of others.
LIKE_OTHERS = {"compact_small", "fcn_16", "fcn_32"}


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        (name, encoder)
        for name in ARCHITECTURES
        if name not in LIKE_OTHERS and not ARCHITECTURES[name].needs_pools
        for encoder in ("plain", "efficientnet_lite0", "mit_b0")
        if encoder in fitting_encoders(name)
        # Where the encoders see is tested with them.
        if encoder == "plain" or name in ("compact", "fpn")
    ],
)
def test_the_receptive_field_of_a_pixel_is_centred_on_it(
    name, encoder, linear, centres_of_sight
):
    """Down to fractions of a pixel, at every phase of the coarsest grid's cells."""
    network = linear(_build(name, encoder).network)
    # DeepLab's rates reach far: the border must lie beyond them.
    width = 1568 if name == "deeplab_v3_plus" else 800
    columns = [width // 2 // 32 * 32 + phase for phase in (0, 1, 7, 14, 31)]
    centres = centres_of_sight(network, width, lambda x: [x[:, :, j] for j in columns])
    assert centres == pytest.approx(columns, abs=0.1)


@pytest.mark.parametrize(
    ("encoder", "channels"),
    [("compact", 1), ("plain", 4), ("efficientnet_lite0", 6), ("mobilenet", 4)],
)
def test_images_need_not_be_rgb(encoder, channels, tmp_path):
    model = _build("unet", encoder, channels=channels, num_classes=2)
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
        UsageError, match=r"Unknown model: `unett`\. Did you mean `unet"
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
        build_model("fpn", weights="cityscapes", **fits)


def test_one_class_too_many_classes_and_a_tiny_image_are_refused():
    for count in (1, 100_000_000):
        with pytest.raises(UsageError, match=f"num_classes={count}"):
            _build("unet", None, num_classes=count)
    with pytest.raises(UsageError, match=r"image_size=\(8, 96\)"):
        _build("unet", None, image_size=(8, 96))


def test_an_image_of_other_channels_is_refused():
    model = _build("compact", None)
    with pytest.raises(SegError, match=r"uint8 \(height, width, 3\)"):
        model.predict(np.zeros((40, 40, 4), np.uint8))
    with pytest.raises(SegError, match="float64"):
        model.predict(np.zeros((40, 40, 3)))


VARIANTS = ("", "_vgg", "_resnet50", "_mobilenet")
KERAS_SEGMENTATION = {
    *(f"fcn_{stride}{variant}" for stride in (8, 32) for variant in VARIANTS),
    *("pspnet", "vgg_pspnet", "resnet50_pspnet", "pspnet_50", "pspnet_101"),
    *("unet_mini", "unet", "vgg_unet", "resnet50_unet", "mobilenet_unet"),
    *("segnet", "vgg_segnet", "resnet50_segnet", "mobilenet_segnet"),
}


def test_every_name_of_keras_segmentation_is_there():
    names = {*ARCHITECTURES, *NAMES}
    assert len(KERAS_SEGMENTATION) == 22
    assert names >= KERAS_SEGMENTATION
    # What the tutorial promises, and the library lacks.
    assert {"fcn_16", "fcn_16_vgg", "mobilenet_pspnet"} <= names
    assert not set(ARCHITECTURES) & set(NAMES)
    for architecture, encoder in NAMES.values():
        assert encoder in fitting_encoders(architecture)


def test_fcn_8_on_resnet50_needs_no_451_million_parameters():
    model = _build("fcn_8_resnet50", None)
    assert (model.contract.architecture, model.contract.encoder) == (
        "fcn_8",
        "resnet50",
    )
    assert 20e6 < model.network.count_params() < 35e6


def test_a_name_that_fixes_its_encoder_takes_no_other():
    with pytest.raises(UsageError, match="`vgg_unet` is `unet` on the encoder `vgg16`"):
        _build("vgg_unet", "resnet50")


def test_an_encoder_without_the_strides_is_refused():
    with pytest.raises(UsageError, match=r"stride 2; .*`convnext_tiny` has none\. Use"):
        _build("compact", "convnext_tiny")
    with pytest.raises(UsageError, match=r"2×2 maximum pooling(.|\n)*`segnet_plain`"):
        _build("segnet", "resnet50")


@pytest.mark.parametrize("indices", [True, False])
def test_segnets_answer_depends_on_the_places_of_the_maxima(indices):
    """A finer map is mirrored in each 2×2 cell: its maxima stay, in other places."""
    finer, coarser = keras.Input((8, 8, 4)), keras.Input((4, 4, 4))
    features = Features({"P0": finer, "P1": coarser}, {"P0": 0.0, "P1": 0.5})
    logits = build_segnet(features, 3, indices=indices)
    network = keras.Model([finer, coarser], logits)
    rng = np.random.default_rng(0)
    before, deep = (rng.random((1, n, n, 4), "float32") for n in (8, 4))
    cells = before.reshape(1, 4, 2, 4, 2, 4)
    mirrored = cells[:, :, ::-1, :, ::-1].reshape(before.shape)
    answers = [network([one, deep]) for one in (before, mirrored)]
    assert np.allclose(*answers) is not indices


def test_segnet_has_no_more_parameters_than_without_the_places_of_maxima():
    counts = {
        _build(name, None, num_classes=3).network.count_params()
        for name in ("segnet", "segnet_plain")
    }
    assert len(counts) == 1
