"""Whatever way a mask or an image is stored, it is read right or refused by name."""

import io
import logging
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from seglib.data.encodings import colour_table
from seglib.data.image_io import (
    decode_image,
    decode_mask,
    decode_samples,
    encode_png,
    write_image,
)
from seglib.data.verification.verifier import verify
from seglib.errors import SegError

IDS = (np.arange(96).reshape(8, 12) % 2).astype(np.uint8)
RAMP = (np.arange(96).reshape(8, 12) * 683).astype(np.uint16)  # up to 64,885
COLOURS = [10, 20, 30, 200, 30, 40]


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def palette(ids: np.ndarray = IDS) -> Image.Image:
    image = Image.fromarray(ids)
    image.putpalette(COLOURS)
    return image


def grey_tiff(ids: np.ndarray, bits: int) -> bytes:
    """A grey TIFF by hand, because no library writes them with 2 or 4 bits."""
    rows = np.unpackbits(ids[..., None], axis=-1)[..., -bits:].reshape(len(ids), -1)
    data = np.packbits(rows, axis=-1).tobytes()
    height, width = ids.shape
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1}
    tags |= {278: height, 279: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, v) for tag, v in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory


@pytest.mark.parametrize(
    "encoded",
    [
        *(
            pytest.param(saved(palette(), "PNG", bits=bits), id=f"PNG-{bits}-bits")
            for bits in (1, 2, 4, 8)
        ),
        pytest.param(saved(palette(), "PNG", transparency=0), id="PNG-transparency"),
        pytest.param(saved(palette(), "BMP"), id="BMP"),
        pytest.param(saved(palette(), "TIFF"), id="TIFF"),
        pytest.param(saved(palette(), "GIF"), id="GIF"),
    ],
)
def test_the_index_of_any_palette_is_the_class(encoded):
    np.testing.assert_array_equal(decode_mask(encoded), IDS)
    assert decode_mask(encoded).dtype == np.uint8
    assert list(colour_table(encoded)[:6]) == COLOURS


@pytest.mark.parametrize("kind", ["BMP", "TIFF"])
def test_masks_of_one_bit_hold_the_ids_zero_and_one(kind):
    encoded = saved(Image.fromarray(IDS * 255).convert("1"), kind)
    np.testing.assert_array_equal(decode_mask(encoded), IDS)


@pytest.mark.parametrize("bits", [2, 4])
def test_grey_tiffs_of_few_bits_are_not_stretched(bits):
    ids = np.arange(96, dtype=np.uint8).reshape(8, 12) % 2**bits
    np.testing.assert_array_equal(decode_mask(grey_tiff(ids, bits)), ids)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_a_grey_mask_with_alpha_is_read_by_its_grey(kind, mode):
    alpha = np.arange(96, dtype=np.uint8).reshape(8, 12)
    bands = [IDS] * (len(mode) - 1) + [alpha]
    encoded = saved(Image.fromarray(np.dstack(bands)), kind)
    np.testing.assert_array_equal(decode_mask(encoded), IDS)


def test_transparent_pixels_of_a_mask_are_warned_of(folder):
    ids = folder.ids()
    write_image(folder.mask("train", "a"), np.dstack([*[ids] * 3, 255 - ids // 255]))
    (warning,) = verify(folder.root).warnings
    assert warning.kind == "alpha-mask"
    write_image(folder.mask("train", "a"), np.dstack([*[ids] * 3, ids | 255]))
    assert not verify(folder.root).warnings


def test_a_mask_whose_ids_lie_in_its_alpha_is_refused():
    with pytest.raises(SegError, match=r"m.png: every pixel is 0.*alpha.*as grey"):
        decode_mask(encode_png(np.dstack([IDS * 0] * 3 + [IDS])), name="m.png")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int16, np.int8])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("decode", [decode_mask, decode_image])
def test_samples_that_are_not_of_8_or_16_bits_are_refused(
    dtype, channels, decode, capfd
):
    encoded = cv2.imencode(".tiff", np.dstack([IDS.astype(dtype)] * channels))[1]
    name = np.dtype(dtype).name
    with pytest.raises(SegError, match=rf"x.tif: samples of {name}. Expected .* 16 bi"):
        decode(encoded.tobytes(), name="x.tif")
    assert not capfd.readouterr().err, "OpenCV has nothing to add"


def test_verification_names_the_samples_of_masks_and_images(folder):
    for path in (folder.image("train", "a"), folder.mask("val", "d")):
        values = cv2.imencode(".tif", folder.ids().astype(np.float32))[1].tobytes()
        path.unlink()
        path.with_suffix(".tif").write_bytes(values)
    found = verify(folder.root).problems
    assert [problem.kind for problem in found] == ["unfit-file"] * 2
    assert all("samples of float32" in problem.reason for problem in found)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_of_sixteen_bits_the_upper_eight_are_read(suffix, channels):
    image = np.dstack([RAMP] * channels)
    encoded = cv2.imencode(suffix, image)[1].tobytes()
    read = decode_image(encoded, channels=channels)
    assert read.dtype == np.uint8
    # Grey values are the weighted sum of three equal ones, up to rounding.
    np.testing.assert_array_equal(read, image >> 8)
    np.testing.assert_array_equal(decode_samples(encoded, channels=channels), image)


def test_a_dim_image_of_sixteen_bits_is_told_of_wherever_it_is_read(caplog):
    decode_image(encode_png(RAMP), name="full.png")
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            decode_image(encode_png(RAMP // 16), name="dim.png")
    (record,) = caplog.records  # once a file
    # 683·95 // 16 = 4,055, whose upper 8 bits are 15.
    assert "dim.png: 16 bits a sample with values up to 4,055" in record.getMessage()
    assert "keep 16 of 256 levels" in record.getMessage()


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        pytest.param(
            saved(palette(), kind, **options), np.reshape(COLOURS, (2, 3)), id=name
        )
        for name, kind, options in (
            ("PNG", "PNG", {}),
            ("PNG-1-bit", "PNG", {"bits": 1}),
            ("PNG-transparency", "PNG", {"transparency": 1}),
            ("BMP", "BMP", {}),
            ("TIFF", "TIFF", {}),
        )
    ]
    + [
        pytest.param(
            saved(Image.fromarray(IDS * 255).convert("1"), kind),
            np.array([[0] * 3, [255] * 3]),
            id=f"{kind}-bilevel",
        )
        for kind in ("PNG", "BMP", "TIFF")
    ]
    + [
        pytest.param(
            saved(Image.fromarray(np.dstack([IDS * 90, IDS * 0 + 7])), "PNG"),
            np.array([[0] * 3, [90] * 3]),
            id="grey-and-alpha",
        ),
        pytest.param(
            saved(
                Image.fromarray(np.dstack([IDS * 255] * 3 + [IDS * 0]), "CMYK"), "TIFF"
            ),
            np.array([[255] * 3, [0] * 3]),
            id="CMYK",
        ),
    ],
)
def test_images_of_any_encoding_are_read_in_their_colours(encoded, expected):
    np.testing.assert_array_equal(decode_image(encoded), expected[IDS])
