import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from seglib.data.image_io import (
    decode_image,
    decode_mask,
    encode_jpeg,
    encode_png,
    read_image,
    read_mask,
    write_bytes,
    write_image,
)
from seglib.errors import SegError

_SIDES = st.integers(1, 40)


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def pixels() -> np.ndarray:
    """Red, green and blue columns of different widths."""
    image = np.zeros((4, 6, 3), np.uint8)
    image[:, :3, 0], image[:, 3:5, 1], image[:, 5:, 2] = 255, 255, 255
    return image


@settings(max_examples=40)
@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.uint16]),
        st.tuples(_SIDES, _SIDES),
    )
)
def test_any_mask_survives_png(mask):
    again = decode_mask(encode_png(mask))
    assert again.dtype == mask.dtype
    np.testing.assert_array_equal(again, mask)


@settings(max_examples=40)
@given(
    arrays.arrays(
        np.uint8,
        st.tuples(_SIDES, _SIDES, st.sampled_from([1, 3, 4])),
        fill=st.nothing(),
    )
)
def test_any_image_survives_png_in_rgb_order(image):
    channels = image.shape[2]
    encoded = encode_png(image)
    np.testing.assert_array_equal(decode_image(encoded, channels=channels), image)
    by_pillow = np.asarray(Image.open(io.BytesIO(encoded)))
    np.testing.assert_array_equal(by_pillow.reshape(image.shape), image)


def test_jpeg_keeps_the_order_of_colours(pixels):
    again = decode_image(encode_jpeg(np.repeat(np.repeat(pixels, 8, 0), 8, 1)))
    assert again[16, 4].argmax() == 0
    assert again[16, 44].argmax() == 2


def test_a_grey_image_of_one_channel_keeps_its_axis(tmp_path, pixels):
    write_image(tmp_path / "a.png", pixels)
    assert read_image(tmp_path / "a.png", channels=1).shape == (4, 6, 1)


def test_an_rgb_file_has_no_fourth_channel(pixels):
    with pytest.raises(SegError, match=r"a.png: expected 4 channels.*\(4, 6, 3\)"):
        decode_image(encode_png(pixels), channels=4, name="a.png")


def test_images_are_turned_upright_by_their_exif_orientation(pixels):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    big = np.repeat(np.repeat(pixels, 8, 0), 8, 1)
    turned = decode_image(_saved(Image.fromarray(big), "JPEG", exif=exif, quality=95))
    assert turned.shape == (48, 32, 3)
    assert turned[4, 16].argmax() == 0
    assert turned[44, 16].argmax() == 2


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_ids_of_fewer_bits_are_not_stretched(bits):
    """A PNG by hand, because no library writes grey ones of 2 or 4 bits."""
    ids = np.arange(16).reshape(2, 8) % 2**bits
    rows = np.unpackbits(ids.astype(np.uint8)[..., None], axis=-1)[..., -bits:]
    packed = np.packbits(rows.reshape(2, -1), axis=-1)
    lines = b"".join(b"\0" + row.tobytes() for row in packed)
    header = struct.pack(">IIBBBBB", 8, 2, bits, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    assert (decode_mask(png) == ids).all()


def test_a_coloured_mask_is_refused(pixels):
    with pytest.raises(SegError, match=r"m.png: expected one channel.*Convert the"):
        decode_mask(encode_png(pixels), name="m.png")


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n"])
@pytest.mark.parametrize("decode", [decode_image, decode_mask])
def test_what_is_no_image_is_named(content, decode):
    with pytest.raises(SegError, match=r"x.png: not an image, or a damaged one"):
        decode(content, name="x.png")


def test_a_cut_off_file_is_named_whatever_its_kind(pixels, capfd):
    palette = Image.frombytes("P", (60, 40), bytes(range(240)) * 10)
    files = {
        "mask.png": (encode_png(np.arange(2000, dtype=np.uint16)[None]), decode_mask),
        "palette.png": (_saved(palette, "PNG"), decode_mask),
        "image.png": (encode_png(pixels), decode_image),
        "image.jpg": (encode_jpeg(np.repeat(pixels, 20, 0)), decode_image),
    }
    for name, (content, decode) in files.items():
        with pytest.raises(SegError, match=name):
            decode(content[: len(content) // 2], name=name)
    capfd.readouterr()  # what libpng says of it


def test_missing_files_are_named():
    with pytest.raises(SegError, match=r"gone.png: cannot be read \(No such file"):
        read_mask(Path("gone.png"))
    with pytest.raises(SegError, match=r"gone.jpg: cannot be read \(No such file"):
        read_image(Path("gone.jpg"))


def test_a_suffix_of_jpeg_gives_a_jpeg(tmp_path, pixels):
    write_image(tmp_path / "a.JPG", pixels)
    assert (tmp_path / "a.JPG").read_bytes()[:2] == b"\xff\xd8"


def test_a_place_that_cannot_be_written_is_named_and_left_clean(tmp_path):
    (tmp_path / "file").write_bytes(b"kept")
    with pytest.raises(
        SegError, match=r"a.png: cannot be written \((File exists|Not a directory)"
    ):
        write_bytes(tmp_path / "file" / "a.png", b"x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(SegError, match=r"folder: cannot be written \(Is a directory"):
        write_bytes(tmp_path / "folder", b"x")
    assert (tmp_path / "file").read_bytes() == b"kept"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]
