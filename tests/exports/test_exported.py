"""Each format, run by its own runtime, against the model that it was written from."""

import base64
import json
import re

import cv2
import keras
import numpy as np
import pytest

from seglib.config import ExportConfig
from seglib.data.image_io import read_image
from seglib.errors import SegError, UsageError
from seglib.evaluation.metrics import Scores
from seglib.evaluation.scoring import score_pairs
from seglib.exports.exported import FORMATS, ExportedModel
from seglib.exports.resizing import enlarge, shrink
from seglib.models import build_model
from seglib.steps.export import export

EXACT = [name for name, each in FORMATS.items() if not each.is_rounded]


@pytest.fixture(scope="module")
def exports(trained, tiny_dataset, tmp_path_factory):
    """All formats of a trained model, and their comparison."""
    out = tmp_path_factory.mktemp("formats") / "export"
    # It has learnt for a few steps: where scores nearly tie, integers decide otherwise.
    config = ExportConfig(export_formats=",".join(FORMATS), max_miou_loss=0.1)
    return out, export(trained.folder, out, config=config, data=tiny_dataset)


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_predicts_images_of_any_size_as_the_model_does(
    name, exports, trained, tiny_dataset
):
    exported = ExportedModel.open(exports[0], name)
    image = read_image(tiny_dataset.pairs("test")[0].image)
    large = cv2.resize(image, None, fx=1.7, fy=2.3)
    for each in (image, image[:51, :77], large):
        mask, expected = exported.predict(each), trained.model.predict(each)
        assert (mask.dtype, mask.shape) == (expected.dtype, expected.shape)
        if name in EXACT:
            logits = exported.predict_logits(each)
            assert np.abs(logits - trained.model.predict_logits(each)).max() < 1e-3
        assert (mask == expected).mean() > (0.999 if name in EXACT else 0.8)


@pytest.mark.parametrize("name", FORMATS)
def test_the_comparison_tells_the_score_of_a_format(name, exports, tiny_dataset):
    exported = ExportedModel.open(exports[0], name)
    counts = [
        each.confusion for each in score_pairs(exported, tiny_dataset.pairs("val"))
    ]
    found = exports[1]["formats"][name]
    assert found["miou"] == pytest.approx(Scores(sum(counts)).miou, abs=1e-9)
    assert found["bytes"] > 0
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p95"]


def test_integers_take_a_third_of_the_room_and_halves_about_half(exports):
    sizes = {name: each.get("bytes") for name, each in exports[1]["formats"].items()}
    assert sizes["litert_int8"] < sizes["litert_fp16"] < 0.6 * sizes["litert"]


def test_the_card_tells_files_classes_and_the_recommended_one(exports, tiny_dataset):
    card = (exports[0] / "README.md").read_text()
    for name in FORMATS:
        assert f"| {FORMATS[name].file} |" in card
    for name in tiny_dataset.class_names:
        assert f"| {name} |" in card
    assert re.search(r"The fastest that answers as well: \*\*\S+\*\*", card)
    stored = json.loads((exports[0] / "comparison.json").read_text())
    assert stored == exports[1]
    assert stored["source"] == f"{tiny_dataset.root.name}, val"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ((60, 80), (30, 40)),
        ((61, 77), (48, 64)),
        ((30, 41), (48, 64)),
        ((9, 64), (48, 9)),
    ],
)
@pytest.mark.parametrize("classes", [1, 11, 150])
def test_resizing_is_tensorflow_s(old, new, classes):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, *old, 3)).astype(np.uint8)
    expected = keras.ops.image.resize(
        images.astype(np.float32), new, interpolation="bilinear", antialias=True
    )
    assert shrink(images, new) == pytest.approx(np.asarray(expected), abs=0.01)
    logits = rng.normal(size=(2, *old, classes)).astype(np.float32)
    expected = keras.ops.image.resize(logits, new, interpolation="bilinear")
    assert enlarge(logits, new) == pytest.approx(np.asarray(expected), abs=1e-3)


def test_an_encoded_file_is_answered_as_its_pixels_are(exports, trained, tmp_path):
    import tensorflow as tf

    served = tf.saved_model.load(str(exports[0] / "saved_model"))
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (6, 8, 3), np.uint8)
    picture = cv2.resize(coarse, (83, 61), interpolation=cv2.INTER_CUBIC)
    for name in ("photo.jpg", "photo.png"):
        cv2.imwrite(str(tmp_path / name), picture)
        content = (tmp_path / name).read_bytes()
        mask = np.asarray(served.encoded(tf.constant([content])))[0]
        assert (mask == trained.model.predict(tmp_path / name)).mean() > 0.999
    answer = served.predict(picture[None])
    assert np.asarray(answer["probabilities"]).sum(-1) == pytest.approx(1, abs=1e-5)
    assert (
        np.asarray(answer["class_ids"]) == np.asarray(served.serve(picture[None]))
    ).all()


def _as_tensorflow_serving(signatures, body):
    """The answer to a REST request; json_tensor.cc of TensorFlow Serving maps so."""
    import tensorflow as tf

    signature = signatures[body.get("signature_name", "serving_default")]
    named = signature.structured_input_signature[1]
    rows = body.get("instances")
    if rows is None:
        given = body["inputs"]
    elif isinstance(rows[0], dict) and rows[0].keys() == named.keys():
        given = {name: [row[name] for row in rows] for name in named}
    else:
        given = {next(iter(named)): rows}

    def decoded(value):
        if isinstance(value, list):
            return [decoded(each) for each in value]
        return base64.b64decode(value["b64"]) if isinstance(value, dict) else value

    tensors = {
        name: tf.constant(decoded(given[name]), spec.dtype)
        for name, spec in named.items()
    }
    return {name: value.numpy() for name, value in signature(**tensors).items()}


def test_the_documented_requests_are_answered_by_the_signatures(
    exports, trained, repository, tmp_path
):
    import tensorflow as tf

    signatures = tf.saved_model.load(str(exports[0] / "saved_model")).signatures
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 31, 43, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), images[0])
    file = base64.b64encode((tmp_path / "photo.png").read_bytes()).decode()
    expected = {
        "images": trained.model.predict_batch(images),
        "files": trained.model.predict(tmp_path / "photo.png")[None],
    }
    text = (repository / "docs" / "export.md").read_text()
    bodies = re.findall(r"^\{.*(?:PIXELS|FILE).*\}$", text, re.MULTILINE)
    assert len(bodies) == 5
    for body in bodies:
        filled = body.replace("PIXELS", str(images.tolist())).replace("FILE", file)
        request = json.loads(filled)
        answer = _as_tensorflow_serving(signatures, request)
        ids = answer.get("class_ids", answer.get("output_0"))
        assert ids.dtype == np.uint8  # which the server can write as JSON
        wanted = expected["files" if "FILE" in body else "images"]
        assert len(ids) == len(wanted)  # `predictions` has one for each instance
        assert (ids == wanted).mean() > 0.999
        if request.get("signature_name") == "predict":
            classes = trained.model.contract.num_classes
            assert answer["probabilities"].shape == (*images.shape[:3], classes)


def test_what_cannot_be_exported_says_why_and_leaves_the_earlier_export(
    exports, trained, tmp_path
):
    before = (exports[0] / "SHA256SUMS").read_bytes()
    for formats, told in (
        ("onx", "Did you mean `onnx`"),
        ("litert_int8", "--data DATA"),
    ):
        with pytest.raises(UsageError, match=told):
            export(
                trained.folder, exports[0], config=ExportConfig(export_formats=formats)
            )
    strict = ExportConfig(export_formats="onnx", max_logit_difference=1e-30)
    with pytest.raises(SegError, match="`onnx` does not answer like"):
        export(trained.folder, exports[0], config=strict)
    assert (exports[0] / "SHA256SUMS").read_bytes() == before
    with pytest.raises(SegError, match="seglib export --format onnx"):
        ExportedModel.open(tmp_path, "onnx")


def test_a_gelu_by_erfc_is_written_to_onnx(tmp_path):
    """ONNX has no Erfc."""
    model = build_model(
        "segformer", num_classes=3, image_size=(32, 32), encoder="mit_b0"
    )
    told = export(model, tmp_path / "out", config=ExportConfig(export_formats="onnx"))
    assert told["formats"]["onnx"]["max_logit_difference"] < 1e-3
