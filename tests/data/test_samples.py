"""What `predict` takes: arrays, paths and pictures of Pillow, and nothing else."""

import io

import numpy as np
import pytest
from PIL import Image

from seglib.data.image_io import decode_picture, read_image
from seglib.data.samples import read_sample
from seglib.errors import SegError

RGB = {"image": 3}
RGBD = {"image": 3, "depth": 1}


def _noise(*shape: int, dtype=np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(dtype)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_is_read_as_a_file_of_its_mode(tmp_path, mode, channels):
    if mode == "I;16":
        picture = Image.fromarray(_noise(6, 8, dtype=np.uint16) * 250)
    else:
        picture = Image.fromarray(_noise(6, 8, 3)).convert(mode)
    picture.save(tmp_path / "a.png")
    expected = read_image(tmp_path / "a.png", channels=channels)
    received = decode_picture(picture, channels=channels)
    assert received.dtype == np.uint8
    assert (received == expected).all()


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "LAB"])
def test_a_picture_in_other_colours_is_converted(mode):
    picture = Image.new("RGB", (8, 6), (200, 30, 30))
    if mode == "LAB":
        picture = Image.new("LAB", (8, 6), (128, 0, 0))
    assert read_sample(picture.convert(mode), RGB).shape == (6, 8, 3)


def test_a_picture_is_turned_upright_as_its_file_is(tmp_path):
    picture = Image.fromarray(_noise(6, 8, 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as opened:
        received = read_sample(opened, RGB)
    assert received.shape == (8, 6, 3)
    assert (received == read_image(tmp_path / "a.png")).all()


def test_integers_of_32_bits_are_read_where_16_bits_hold_them():
    values = np.array([[0, 65535], [256, 512]], np.int32)
    received = read_sample(Image.fromarray(values), {"image": 1})
    assert received[..., 0].tolist() == [[0, 255], [1, 2]]


@pytest.mark.parametrize("values", [np.float32([[0.5]]), np.int32([[70000]])])
def test_a_picture_whose_values_have_no_bound_is_refused(values):
    with pytest.raises(SegError, match="Received: mode=[FI]. Convert it first"):
        read_sample(Image.fromarray(values), RGB)


def test_a_huge_picture_is_refused(monkeypatch):
    monkeypatch.setenv("SEGLIB_MAX_PIXELS", "40")
    with pytest.raises(SegError, match="`image`: too large: 6×8 pixels"):
        read_sample(Image.new("L", (8, 6)), RGB)


def test_several_inputs_may_be_of_several_kinds(tmp_path):
    image, depth = _noise(6, 8, 3), _noise(6, 8)
    Image.fromarray(depth).save(tmp_path / "depth.png")
    for one in (depth, Image.fromarray(depth), tmp_path / "depth.png"):
        received = read_sample([Image.fromarray(image), one], RGBD)
        assert (received == np.dstack([image, depth])).all()


@pytest.mark.parametrize(
    "wrong",
    [None, 7, b"png", io.BytesIO(), object(), {"image": 1}, [[1, 2]], np.uint8(1)],
)
def test_another_type_is_named(wrong):
    with pytest.raises(SegError, match=r"`image` must be an array .*Received: type="):
        read_sample(wrong, RGB)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (_noise(6, 8), r"shape \(6, 8\), uint8. Repeat the grey values"),
        (
            _noise(1, 6, 8, 3),
            "one image at a time, or all of a size by `predict_batch`",
        ),
        (_noise(6, 8, 3).astype(np.float32), r"float32. Values from 0 to 1 become"),
        (_noise(6, 8, 4), r"Received: shape \(6, 8, 4\), uint8"),
        (_noise(6, 8, 3).astype(object), "object"),
        (np.zeros((0, 8, 3), np.uint8), r"Received: shape \(0, 8, 3\), uint8"),
        (np.zeros((), np.uint8), r"Received: shape \(\), uint8"),
    ],
)
def test_an_array_of_another_shape_or_type_is_refused(wrong, told):
    with pytest.raises(SegError, match=told):
        read_sample(wrong, RGB)


@pytest.mark.parametrize("given", [[], [1, 2, 3], [_noise(6, 8, 3)]])
def test_another_number_of_inputs_is_refused(given):
    with pytest.raises(SegError, match=f"a list of 2. Received: {len(given)}."):
        read_sample(given, RGBD)


def test_inputs_of_different_sizes_are_refused():
    with pytest.raises(SegError, match="must be of one size"):
        read_sample([_noise(6, 8, 3), _noise(6, 9)], RGBD)
