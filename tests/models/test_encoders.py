"""Encoders: strides, places, and the very pixels and features of Keras's networks."""

import hashlib

import keras
import numpy as np
import pytest

from seglib import catalogue
from seglib.errors import SegError, UsageError
from seglib.models import ARCHITECTURES, ENCODERS, NAMES, build_model
from seglib.models.architectures import DECODERS
from seglib.models.encoders import mix_transformer
from seglib.models.encoders.keras_applications import _FAMILIES
from seglib.models.layers.blocks import Normalize

# One of each family; the others differ in depth and width alone.
REPRESENTATIVES = [
    "compact",
    "mini",
    "plain",
    "vanilla",
    "efficientnet_lite0",
    "vgg16",
    "resnet50",
    "resnet50v2",
    "mobilenet",
    "mobilenetv2",
    "mobilenetv3_small",
    "mobilenetv3_large",
    "efficientnetb0",
    "efficientnetv2b0",
    "densenet121",
    "convnext_tiny",
    "mit_b0",
]
# Where Keras keeps what its networks expect; "inside" those that do it themselves.
PREPROCESSING = {
    "vgg16": keras.applications.vgg16,
    "resnet50": keras.applications.resnet,
    "resnet50v2": keras.applications.resnet_v2,
    "mobilenet": keras.applications.mobilenet,
    "mobilenetv2": keras.applications.mobilenet_v2,
    "densenet121": keras.applications.densenet,
}
INSIDE = {
    "mobilenetv3_small": "rescaling",
    "efficientnetv2b0": "normalization",
    "efficientnetv2s": "rescaling",
    "convnext_tiny": "convnext_tiny_prestem_normalization",
}
_CONSTRUCTORS = {name: f for family in _FAMILIES for name, f in family.networks.items()}


@pytest.fixture(scope="module")
def built():
    """Encoders are slow to build: each once."""
    models = {}

    def build(name):
        if name not in models:
            keras.utils.set_random_seed(1)
            models[name] = ENCODERS[name].build(3)
        return models[name]

    return build


def _images(height=64, width=96):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (1, height, width, 3)).astype("float32")


def _normalize(name, images):
    n = ENCODERS[name].normalization
    layer = Normalize(n.mean, n.scale, reverse=n.channel_order == "bgr")
    return np.asarray(layer(images))


def _with_weights(encoder, weights, **options):
    return build_model(
        "fcn_32",
        num_classes=2,
        image_size=(64, 96),
        encoder=encoder,
        weights=weights,
        **options,
    )


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_maps_have_the_stride_of_their_level(name, built):
    maps = built(name)(np.zeros((1, 64, 96, 3), "float32"))
    assert {int(key[1:]) for key in maps} == set(ENCODERS[name].levels)
    for key, x in maps.items():
        stride = 2 ** int(key[1:])
        assert x.shape[1:3] == (64 // stride, 96 // stride)


@pytest.mark.parametrize("name", PREPROCESSING)
def test_pixels_are_those_that_keras_feeds_its_network(name):
    images = _images()
    expected = PREPROCESSING[name].preprocess_input(images.copy())
    assert _normalize(name, images) == pytest.approx(np.asarray(expected), abs=1e-4)


@pytest.mark.parametrize("name", INSIDE)
def test_pixels_are_those_that_keras_makes_inside_its_network(name):
    application = _CONSTRUCTORS[name](
        include_top=False, weights=None, input_shape=(64, 96, 3)
    )
    layer = next(x for x in application.layers if x.name.startswith(INSIDE[name]))
    inside = keras.Model(application.input, layer.output)
    expected = np.asarray(inside(_images()))
    assert _normalize(name, _images()) == pytest.approx(expected, abs=1e-4)


def test_efficientnets_pixels_are_those_of_its_imagenet_weights():
    """In Keras, three steps: by 255, by the file's mean and variance, and once more."""
    images = _images()
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    from_file = (images / 255 - mean) / np.sqrt(deviation)  # stored as "variance"
    expected = from_file / np.sqrt(deviation)
    assert _normalize("efficientnetb0", images) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", ["vgg16", "efficientnetb0", "convnext_tiny"])
def test_a_file_of_keras_gives_the_features_of_keras(name, tmp_path):
    keras.utils.set_random_seed(3)
    theirs = _CONSTRUCTORS[name](
        include_top=False, weights=None, input_shape=(64, 96, 3)
    )
    theirs.save_weights(tmp_path / "notop.weights.h5")
    model = _with_weights(name, tmp_path / "notop.weights.h5")
    encoder = model.network.get_layer("encoder")
    images = _images()
    if name == "efficientnetb0":
        expected = theirs(images)
        # The random weights leave its own mean and variance at 0 and 1.
        last = encoder(images / 255)["P5"]
        for layer in ("top_conv", "top_bn", "top_activation"):
            last = theirs.get_layer(layer)(last)
    else:
        pixels = _normalize(name, images)
        expected = theirs(images if name == "convnext_tiny" else pixels)
        last = encoder(pixels)["P5"]
    assert np.asarray(last) == pytest.approx(np.asarray(expected), abs=1e-4)


@pytest.mark.parametrize(("given", "wanted"), [("vgg19", "vgg16"), ("vgg16", "vgg19")])
def test_weights_of_another_network_are_refused(given, wanted, tmp_path):
    other = _CONSTRUCTORS[given](
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(UsageError, match=f"do not fit the encoder `{wanted}`"):
        _with_weights(wanted, tmp_path / "other.weights.h5")


def test_a_pickle_is_refused_unopened(tmp_path):
    for name, start in (("old.pth", b"\x80\x02"), ("new.pt", b"PK\x03\x04")):
        (tmp_path / name).write_bytes(start + b"anything")
        with pytest.raises(UsageError, match="a pickle, which can run code"):
            _with_weights("vgg16", tmp_path / name)


def test_weights_of_another_hash_are_refused(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"anything")
    received = hashlib.sha256(b"anything").hexdigest()
    with pytest.raises(SegError, match=rf"Expected: 00ff\. Received: {received}"):
        _with_weights("vgg16", tmp_path / "a.h5", weights_sha256="00ff")


def test_a_lite_file_of_another_hash_is_refused(tmp_path):
    (tmp_path / "a.pth").write_bytes(b"anything")
    with pytest.raises(SegError, match="not the pinned weights"):
        _with_weights("efficientnet_lite0", tmp_path / "a.pth")


def test_without_network_the_error_names_the_way_out(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(SegError, match=r"cannot be downloaded: (.|\n)*weights=FILE"):
        _with_weights("mobilenet", "imagenet")


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_cells_lie_where_the_encoder_says(name, built, linear, centres_of_sight):
    encoder, width = linear(built(name)), 768
    middle = {f"P{n}": width // 2**n // 2 for n in ENCODERS[name].levels}
    centres = centres_of_sight(
        encoder, width, lambda maps: [maps[key][:, :, i] for key, i in middle.items()]
    )
    expected = [
        2 ** int(key[1:]) * cell + ENCODERS[name].offsets[key]
        for key, cell in middle.items()
    ]
    assert centres == pytest.approx(expected, abs=0.1)


def _answers(name, encoder=None):
    model = build_model(name, num_classes=3, image_size=(64, 96), encoder=encoder)
    logits = model.network(np.zeros((1, 37, 53, 3), np.uint8), training=False)
    assert tuple(logits.shape) == (1, 37, 53, 3)
    assert np.isfinite(np.asarray(logits)).all()
    keras.utils.clear_session(free_memory=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        (name, encoder)
        for name in ARCHITECTURES
        for encoder in REPRESENTATIVES
        if encoder in catalogue.fitting_encoders(name)
    ],
)
def test_every_pair_of_network_and_encoder_answers_at_the_images_size(name, encoder):
    _answers(name, encoder)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", [x for x in ENCODERS if x not in REPRESENTATIVES])
def test_every_encoder_of_a_family_answers_at_the_images_size(encoder):
    _answers("unet", encoder)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_keras_segmentation_answers_at_the_images_size(name):
    _answers(name)


def test_the_catalogue_tells_of_each_encoder_what_it_is():
    assert set(catalogue.ENCODERS) == set(ENCODERS)
    for name, encoder in ENCODERS.items():
        known = catalogue.ENCODERS[name]
        assert (known.levels, known.pools) == (encoder.levels, encoder.pools), name
        has_weights = encoder.load is not None or name in mix_transformer.VARIANTS
        assert bool(known.weights) == has_weights, name
        assert ("[hub]" in known.weights) == (encoder.extra == "hub"), name
        assert ("downloaded" in known.weights) == encoder.needs_download, name


def test_the_catalogue_has_the_architectures_that_can_be_built():
    assert list(catalogue.ARCHITECTURES) == list(DECODERS)
