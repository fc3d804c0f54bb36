"""Encoders of keras-hub, built from data here and compared with keras-hub itself.

Tests that need it skip without it: `pip install 'seglib[hub]'`.
"""

import dataclasses
import functools
import logging

import keras
import numpy as np
import pytest

from seglib import catalogue
from seglib.errors import SegError, UsageError
from seglib.models import ENCODERS, build_model, segformer_weights, weights
from seglib.models.encoders import keras_hub as hub
from seglib.models.encoders import plain_transformer
from seglib.models.encoders.encoder import TORCH
from seglib.models.layers.upsampling import resize_bilinear
from seglib.models.model import load_model
from seglib.steps.export import export

# One of each family, the smallest.
SMALLEST = {
    "resnet_18_imagenet": 0,
    "resnet_v2_50_imagenet": 15_360,  # keras-hub states the number of version 1
    "csp_darknet_53_ra_imagenet": 0,
    "csp_resnet_50_ra_imagenet": 0,
    "densenet_121_imagenet": 0,
    "efficientnet_b0_ra_imagenet": 0,
    "hgnetv2_b4_ssld_stage2_ft_in1k": 0,
}


@pytest.fixture(scope="module")
def keras_hub():
    return pytest.importorskip("keras_hub", reason="pip install 'seglib[hub]'")


def _family(name):
    return next(family for family in hub.FAMILIES if name in family.presets)


def _preset(keras_hub, folder, name="resnet_18_imagenet", *, converter=True):
    """A preset's folder as keras-hub writes it, with random weights."""
    backbone = _family(name).build(name, 3)
    _shake(backbone)
    backbone.save_to_preset(str(folder))
    if converter:
        halves = [1 / 128] * 3
        keras_hub.layers.ResNetImageConverter(
            image_size=(64, 64), scale=halves, offset=[-1.0, -0.5, 0.0]
        ).save_to_preset(str(folder))
    return backbone


def _shake(model):
    """Random numbers for all that starts as 0 or 1."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if "float" in weight.dtype:
            noise = rng.uniform(0, 0.1, weight.shape)
            weight.assign(np.asarray(weight) + noise)


def _build(encoder, **options):
    options = {"num_classes": 3, "image_size": (64, 96), **options}
    return build_model("unet", encoder=encoder, **options)


def test_without_keras_hub_the_extra_is_named(monkeypatch):
    def absent(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(hub.importlib, "import_module", absent)
    with pytest.raises(SegError, match=r"pip install 'seglib\[hub\]'"):
        ENCODERS["resnet_18_imagenet"].build(3)


def test_an_unknown_preset_is_answered_with_the_nearest_name():
    with pytest.raises(UsageError, match="Did you mean `resnet_18_imagenet`?"):
        _build("resnet_18_imagenett")


def test_every_encoder_is_a_preset_of_keras_hub(keras_hub):
    for family in hub.FAMILIES:
        known = getattr(keras_hub.models, family.backbone).presets
        assert set(family.presets) <= set(known)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLEST)
def test_the_network_has_the_parameters_that_its_preset_states(name, keras_hub):
    """keras-hub counts some with their classifier, and then without the statistics."""
    family = _family(name)
    backbone = family.build(name, 3)
    presets = getattr(keras_hub.models, family.backbone).presets
    stated = presets[name]["metadata"]["params"]
    width = next(w for w in reversed(backbone.weights) if len(w.shape) == 4).shape[-1]
    total = backbone.count_params()
    statistics = sum(np.prod(w.shape) for w in backbone.non_trainable_weights)
    classifier = 1000 * 2 ** round(np.log2(width)) + 1000
    if "efficientnet" in name:
        classifier = 1280 * 1000 + 1000
    allowed = {total, total + classifier, total - statistics + classifier}
    assert stated - SMALLEST[name] in allowed


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SMALLEST if "hgnet" not in name])
def test_cells_lie_where_the_encoder_says(name, keras_hub, linear, centres_of_sight):
    encoder, width = linear(ENCODERS[name].build(3)), 768
    middle = {f"P{n}": width // 2**n // 2 for n in ENCODERS[name].levels}
    centres = centres_of_sight(
        encoder, width, lambda maps: [maps[key][:, :, i] for key, i in middle.items()]
    )
    expected = [
        2 ** int(key[1:]) * cell + ENCODERS[name].offsets[key]
        for key, cell in middle.items()
    ]
    assert centres == pytest.approx(expected, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", hub.ENCODERS)
def test_maps_have_the_stride_of_their_level(name, keras_hub):
    maps = ENCODERS[name].build(3)(np.zeros((1, 64, 96, 3), "float32"))
    assert {int(key[1:]) for key in maps} == set(ENCODERS[name].levels)
    for key, x in maps.items():
        stride = 2 ** int(key[1:])
        assert x.shape[1:3] == (64 // stride, 96 // stride)
    keras.utils.clear_session(free_memory=True)


def test_a_presets_folder_gives_weights_and_normalisation(keras_hub, tmp_path):
    backbone = _preset(keras_hub, tmp_path / "preset")
    model = _build("resnet_18_imagenet", weights=tmp_path / "preset")
    assert model.contract.mean == pytest.approx((128, 64, 0))
    assert model.contract.scale == pytest.approx((128, 128, 128))
    image = np.random.default_rng(1).integers(0, 256, (1, 64, 96, 3))
    x = (image - np.array([128, 64, 0])) / 128
    expected = np.asarray(backbone(x.astype("float32")))
    pixels = model.network.get_layer("normalize")(image.astype("float32"))
    received = np.asarray(model.network.get_layer("encoder")(pixels)["P5"])
    assert received == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.slow
def test_a_folder_without_a_converter_keeps_the_familys_normalisation(
    keras_hub, tmp_path
):
    _preset(keras_hub, tmp_path / "preset", converter=False)
    model = _build("resnet_18_imagenet", weights=tmp_path / "preset")
    assert model.contract.mean == TORCH.mean


@pytest.mark.slow
def test_a_preset_of_another_network_is_refused(keras_hub, tmp_path):
    _preset(keras_hub, tmp_path / "preset", "resnet_vd_18_imagenet")
    with pytest.raises(
        UsageError, match=r"do not fit the encoder `resnet_18_im(.|\n)*Received: "
    ):
        _build("resnet_18_imagenet", weights=tmp_path / "preset")


def test_a_folder_that_is_no_preset_is_refused(keras_hub, tmp_path):
    with pytest.raises(UsageError, match=r"not a preset of keras-hub's ResNetBackbone"):
        _build("resnet_18_imagenet", weights=tmp_path)


def test_without_network_the_error_names_preset_and_way_out(
    keras_hub, tmp_path, monkeypatch
):
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(
        SegError,
        match=r"`resnet_18_imagenet` (.|\n)*resnet_18_imagenet/3(.|\n)*weights=FOLDER",
    ):
        _build("resnet_18_imagenet", weights="pretrained")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["resnet_18_imagenet", "hgnetv2_b4_ssld_stage2_ft_in1k"]
)
def test_an_artifact_needs_no_network_and_answers_alike(name, keras_hub, tmp_path):
    model = build_model("fpn", num_classes=3, image_size=(64, 96), encoder=name)
    again = load_model(model.save(tmp_path / "model"))
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    expected = model.predict_logits(image)
    assert again.predict_logits(image) == pytest.approx(expected, abs=1e-5)
    told = export(again, tmp_path / "export")
    assert told["formats"]["saved_model"]["max_logit_difference"] < 1e-4


DINO = {
    "DINOV2Backbone": plain_transformer._v2(32, 4, 2, **plain_transformer._REGISTERS),
    "DINOV3Backbone": plain_transformer._v3(32, 4, 2),
}


@pytest.fixture(params=DINO)
def tiny_dino(request, keras_hub, monkeypatch):
    """An encoder of 4 blocks, under the name `tiny_dino`."""
    known = (request.param, DINO[request.param])
    monkeypatch.setitem(plain_transformer.PRESETS, "tiny_dino", known)
    like = ENCODERS["dinov2_small"]
    build = functools.partial(plain_transformer._build, name="tiny_dino")
    load = functools.partial(plain_transformer._load, name="tiny_dino")
    pixels = functools.partial(hub.preset_pixels, backbone=known[0], name="tiny_dino")
    encoder = dataclasses.replace(like, build=build, load=load, pixels=pixels)
    monkeypatch.setitem(ENCODERS, "tiny_dino", encoder)
    like = catalogue.ENCODERS["dinov2_small"]
    monkeypatch.setitem(catalogue.ENCODERS, "tiny_dino", like)
    return getattr(keras_hub.models, known[0]), known[1]


@pytest.mark.slow
def test_dino_computes_what_keras_hub_computes(tiny_dino, tmp_path):
    maker, arguments = tiny_dino
    side = plain_transformer._SIDE[maker.__name__]
    theirs = maker(**{**arguments, "use_mask_token": True}, image_shape=(side, side, 3))
    _shake(theirs)
    if maker.__name__ == "DINOV2Backbone":  # it may save the ones before otherwise
        learnt = theirs.embeddings.interpolated_position_embeddings
        theirs.embeddings.position_embeddings.assign(learnt)
    theirs.save_to_preset(str(tmp_path / "preset"))
    model = _build("tiny_dino", weights=tmp_path / "preset")
    cells = side // arguments["patch_size"] * 16
    image = np.random.default_rng(0).random((1, cells, cells, 3), "float32")
    last = model.network.get_layer("encoder").get_layer("transformer")(image)[-1]
    (name,) = theirs.input
    patches = np.asarray(theirs({name: resize_bilinear(image, side, side)}))[:, 5:]
    received = np.asarray(last).reshape(patches.shape)
    assert received == pytest.approx(patches, abs=1e-4)


@pytest.mark.slow
def test_dino_takes_any_size_is_saved_and_learns_everywhere(tiny_dino, tmp_path):
    import tensorflow as tf

    model = build_model(
        "segformer", num_classes=3, image_size=(64, 96), encoder="tiny_dino"
    )
    _shake(model.network)
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    again = load_model(model.save(tmp_path / "model"))
    expected = model.predict_logits(image)
    assert again.predict_logits(image) == pytest.approx(expected, abs=1e-4)
    told = export(again, tmp_path / "export")
    assert told["formats"]["saved_model"]["max_logit_difference"] < 1e-3
    weights = model.network.trainable_weights
    with tf.GradientTape() as tape:
        logits = model.network(image[None], training=True)
        loss = tf.reduce_mean(logits**2)
    assert all(x is not None for x in tape.gradient(loss, [w.value for w in weights]))


@pytest.mark.slow
def test_every_dino_has_the_size_that_its_preset_states(keras_hub):
    """In millions for some presets: of keras-hub's smallest, to 2 %."""
    for name in ("dinov2_small", "dinov3_vit_small_plus_lvd1689m"):
        kind, arguments = plain_transformer.PRESETS[name]
        maker = getattr(keras_hub.models, kind)
        side = plain_transformer._SIDE[kind]
        count = maker(**arguments, image_shape=(side, side, 3)).count_params()
        assert count == pytest.approx(
            maker.presets[name]["metadata"]["params"], rel=0.02
        )


@pytest.fixture(scope="module")
def segmenter(keras_hub):
    """keras-hub's own SegFormer-B0 of 7 classes, with random weights."""
    mit = keras_hub.models.MiTBackbone(
        image_shape=(128, 128, 3),
        num_layers=4,
        hidden_dims=[32, 64, 160, 256],
        layerwise_depths=[2, 2, 2, 2],
        layerwise_num_heads=[1, 2, 5, 8],
        layerwise_sr_ratios=[8, 4, 2, 1],
        layerwise_patch_sizes=[7, 3, 3, 3],
        layerwise_strides=[4, 2, 2, 2],
        max_drop_path_rate=0.1,
    )
    backbone = keras_hub.models.SegFormerBackbone(mit, projection_filters=256)
    model = keras_hub.models.SegFormerImageSegmenter(backbone, num_classes=7)
    _shake(model)
    return model


@pytest.mark.slow
def test_our_segformer_computes_what_that_of_keras_hub_computes(
    segmenter, tmp_path, monkeypatch
):
    segmenter.save_to_preset(str(tmp_path / "preset"))
    model = build_model(
        "segformer", num_classes=7, image_size=(128, 128), weights=tmp_path / "preset"
    )
    images = np.random.default_rng(0).integers(0, 256, (2, 128, 128, 3))
    pixels = model.network.get_layer("normalize")(images.astype("float32"))
    received = np.asarray(model.network(images, training=False))
    # Theirs approximates GELU by tanh; the published weights were trained without.
    from keras_hub.src.models.mit import mit_layers

    gelu = functools.partial(keras.ops.nn.gelu, approximate=False)
    monkeypatch.setattr(mit_layers.ops.nn, "gelu", gelu)
    expected = np.asarray(segmenter(pixels, training=False))
    assert expected.std() > 0.1
    assert np.abs(received - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.slow
def test_other_classes_get_a_new_head_and_it_is_told(segmenter, tmp_path, caplog):
    segmenter.save_to_preset(str(tmp_path / "preset"))
    with caplog.at_level(logging.INFO, logger="seglib"):
        build_model(
            "segformer", num_classes=3, image_size=(64, 64), weights=tmp_path / "preset"
        )
    assert "205 of 207 tensors loaded; not loaded" in caplog.text
    assert "head/kernel, head/bias" in caplog.text


@pytest.mark.slow
def test_published_weights_of_another_size_are_refused(segmenter, tmp_path):
    segmenter.save_to_preset(str(tmp_path / "preset"))
    with pytest.raises(UsageError, match="do not fit segformer on mit_b1"):
        build_model(
            "segformer",
            num_classes=3,
            image_size=(64, 64),
            encoder="mit_b1",
            weights=tmp_path / "preset",
        )


def test_the_presets_of_segformer_are_those_of_keras_hub(keras_hub):
    known = keras_hub.models.SegFormerImageSegmenter.presets
    for encoder in segformer_weights.VARIANTS:
        for dataset in segformer_weights.DATASETS:
            assert segformer_weights.preset_of(encoder, dataset) in known


def test_weights_of_nobody_are_answered_with_what_there_is():
    with pytest.raises(UsageError, match="Expected: `ade20k`, `cityscapes`, a state d"):
        build_model("segformer", num_classes=3, image_size=(64, 64), weights="imagenet")
    assert weights.is_model("imagenet") is False
