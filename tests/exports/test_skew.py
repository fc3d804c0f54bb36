"""What the network sees of a file is the same in training and wherever it is served.

The network's answer tells it: the class id of a pixel is its brightness, rounded, a sum
of the channels with other weights, so that swapped channels would show. Resizing is
linear, and so is a logit in the brightness: at another size than the network's, the ids
are the brightness as resized to the network's size and back.
"""

import base64
import dataclasses

import keras
import numpy as np
import pytest
from PIL import Image, ImageOps

from seglib.data.image_io import decode_mask, read_image, read_mask, write_image
from seglib.data.pairs import Pair
from seglib.evaluation.scoring import score_pairs
from seglib.exports import litert, onnx_model, saved_model
from seglib.exports.exported import FORMATS, ExportedModel
from seglib.inference.predictor import Predictor
from seglib.inference.pyfunc import COLUMN, Pyfunc
from seglib.models import build_custom
from seglib.models.contract import CONTRACT
from seglib.steps.predict import predict

SIZE = (40, 56)
WEIGHTS = np.array([0.5, 0.3, 0.2], np.float32)  # of red, green and blue
ROTATED = 6  # EXIF: to be turned by 90 degrees


@pytest.fixture(scope="module")
def model():
    image = keras.Input((*SIZE, 3))
    # The nearest k has the largest of 2 k x - k², for x from -128 to 127.
    logits = keras.layers.Conv2D(256, 1, name="nearest")
    outputs = logits(image)
    levels = np.arange(256, dtype=np.float32) - 128
    kernel = 2 * WEIGHTS[:, None] * levels
    logits.set_weights([kernel[None, None], -(levels**2) - 2 * 128 * levels])
    return build_custom(image, outputs)


@pytest.fixture(scope="module")
def export(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("skew")
    (folder / CONTRACT).write_text(model.contract.to_json())
    saved_model.write_saved_model(model, folder / FORMATS["saved_model"].file)
    onnx_model.write_onnx(model, folder / FORMATS["onnx"].file)
    place = folder / FORMATS[litert.FLOAT].file
    litert.write_litert(model, place, litert.FLOAT, None)
    return folder


def _write(kind, size, path):
    """A file, smooth, so that a JPEG file keeps it."""
    rng = np.random.default_rng(5)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 4), np.uint8), "RGBA")
    picture = coarse.resize(size[::-1], Image.Resampling.BICUBIC)
    file = path / "photo.png"
    if kind == "EXIF":
        file = file.with_suffix(".jpg")
        exif = Image.Exif()
        exif[0x0112] = ROTATED
        picture = picture.convert("RGB").transpose(Image.Transpose.ROTATE_90)
        picture.save(file, exif=exif, quality=95)
    elif kind == "16 bits":
        grey = np.asarray(picture.convert("L")).astype(np.uint16)
        Image.fromarray(grey * 256 + rng.integers(0, 256, size, np.uint16)).save(file)
    else:
        picture.convert(kind).save(file)
    return file


def _pixels(file, *, upright=True):
    """As Pillow decodes it: (H, W, 3)."""
    picture = Image.open(file)
    if upright:
        picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):
        picture = Image.fromarray((np.asarray(picture) // 256).astype(np.uint8))
    return np.asarray(picture.convert("RGB"))


def _brightness(pixels):
    """What an exact answer would be: float32 (H, W)."""
    import tensorflow as tf

    seen = tf.image.resize(pixels.astype(np.float32), SIZE, antialias=True)
    return tf.image.resize(seen @ WEIGHTS[:, None], pixels.shape[:2])[..., 0].numpy()


@pytest.mark.parametrize("size", [SIZE, (61, 47)], ids=["own size", "another size"])
@pytest.mark.parametrize("kind", ["RGB", "L", "RGBA", "16 bits", "EXIF"])
def test_the_network_sees_the_same_of_a_file_everywhere(
    kind, size, model, export, tmp_path
):
    import tensorflow as tf

    file = _write(kind, size, tmp_path)
    pixels, bare = read_image(file), file.read_bytes()
    assert pixels.shape == (*size, 3)
    # JPEG decoders differ by rounding: by one level in places.
    assert np.abs(pixels.astype(int) - _pixels(file)).max() <= (kind == "EXIF")
    exact = _brightness(pixels)
    ids = model.predict(file)
    assert ids.dtype == np.uint8
    assert np.abs(ids - exact).max() < 0.51

    write_image(tmp_path / "mask.png", np.zeros(size, np.uint8))
    pair = Pair("photo", file, tmp_path / "mask.png")
    predict(model, file, tmp_path / "out")
    opened = {n: ExportedModel.open(export, n) for n in ("saved_model", "onnx")}
    opened[litert.FLOAT] = ExportedModel.open(export, litert.FLOAT)
    served = Pyfunc(model)
    text = base64.b64encode(bare).decode()
    (answer,) = served.predict({COLUMN: [text]})
    same = {
        "validation in training": next(score_pairs(model, [pair])).prediction,
        "evaluation": next(score_pairs(model, [pair], detailed=True)).prediction,
        "predict": read_mask(tmp_path / "out" / "ids" / "photo.png"),
        "Predictor": Predictor(model).predict(file),
        "SavedModel": opened["saved_model"].predict(file),
        "pyfunc, pixels": served.predict(pixels[None])[0],
        "pyfunc, a file": decode_mask(base64.b64decode(answer["mask"])),
    }
    for road, found in same.items():
        assert (found == ids).all(), road
    for name in ("onnx", litert.FLOAT):  # resized by OpenCV: to 0.01 of a level
        assert np.abs(opened[name].predict(file) - exact).max() < 0.52, name

    # A signature's file is not turned by EXIF, and a JPEG decoder is TensorFlow's.
    signatures = tf.saved_model.load(str(export / "saved_model"))
    found = np.asarray(signatures.encoded(tf.constant([bare])))[0]
    turned = _brightness(_pixels(file, upright=False))
    assert np.abs(found - turned).max() < (1.51 if kind == "EXIF" else 0.51)


@pytest.mark.parametrize("name", ["onnx", litert.FLOAT])
@pytest.mark.parametrize("size", [SIZE, (61, 47)], ids=["own size", "another size"])
def test_a_runtime_is_given_the_tensor_of_the_graph_to_a_hundredth_of_a_level(
    size, name, export
):
    pixels = np.random.default_rng(1).integers(0, 256, (2, *size, 3), np.uint8)
    expected = keras.ops.image.resize(
        pixels.astype(np.float32), SIZE, interpolation="bilinear", antialias=True
    )
    exported, given = ExportedModel.open(export, name), []

    def run(images):
        given.append(images)
        return exported.run(images)

    dataclasses.replace(exported, run=run).predict_batch(pixels)
    assert given[0].dtype == np.float32
    if size == SIZE:
        assert (given[0] == pixels).all()
        assert (np.asarray(expected) == pixels).all()
    assert np.abs(given[0] - np.asarray(expected)).max() < 0.01
