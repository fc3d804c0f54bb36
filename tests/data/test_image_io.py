"""Whatever way an image or a mask is stored, it is read right or refused by name."""

import io
import logging
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from seglib.data import image_io
from seglib.data.encodings import colour_table, has_more_pages
from seglib.data.file_formats import exif_orientation
from seglib.data.image_io import (
    decode_image,
    decode_mask,
    decode_reduced,
    decode_samples,
    encode_jpeg,
    encode_png,
    read_image,
    read_mask,
    write_bytes,
    write_image,
)
from seglib.data.verification.verifier import verify
from seglib.errors import SegError
from tests.fakes.images import grey_png, grey_tiff, saved

IDS = (np.arange(96).reshape(8, 12) % 2).astype(np.uint8)
RAMP = (np.arange(96).reshape(8, 12) * 683).astype(np.uint16)  # up to 64,885
COLOURS = [10, 20, 30, 200, 30, 40]
_SIDES = st.integers(1, 40)


def palette(ids: np.ndarray = IDS) -> Image.Image:
    image = Image.fromarray(ids)
    image.putpalette(COLOURS)
    return image


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
    turned = decode_image(saved(Image.fromarray(big), "JPEG", exif=exif, quality=95))
    assert turned.shape == (48, 32, 3)
    assert turned[4, 16].argmax() == 0
    assert turned[44, 16].argmax() == 2


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


@pytest.mark.parametrize(
    ("write", "bits"),
    [(grey_png, 1), (grey_png, 2), (grey_png, 4), (grey_tiff, 2), (grey_tiff, 4)],
)
def test_ids_of_few_bits_are_not_stretched(write, bits):
    ids = np.arange(96, dtype=np.uint8).reshape(8, 12) % 2**bits
    np.testing.assert_array_equal(decode_mask(write(ids, bits)), ids)


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


def _pages(*greys: int) -> list[Image.Image]:
    return [Image.fromarray(np.full((8, 12, 3), grey, np.uint8)) for grey in greys]


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "PNG", "WEBP"])
def test_of_several_pages_or_frames_the_first_is_read_and_that_is_told_once(
    kind, caplog, monkeypatch
):
    monkeypatch.setattr(image_io, "_told", set())
    first, *more = _pages(10, 100, 200)
    file = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {}
    first.save(file, kind, save_all=True, append_images=more, **options)
    for name in ("a", "b"):
        assert (decode_image(file.getvalue(), name=name) == 10).all()
    (record,) = caplog.records
    assert record.getMessage() == (
        "a: of several pages or frames the first is read, here and in all such files."
    )
    single = io.BytesIO()
    first.save(single, kind, **options)
    assert has_more_pages(file.getvalue())
    assert not has_more_pages(single.getvalue())


def test_that_sixteen_bits_become_eight_is_told_once(caplog, monkeypatch):
    monkeypatch.setattr(image_io, "_told", set())
    caplog.set_level(logging.INFO)
    for name in ("a.png", "b.png"):
        decode_image(encode_png(RAMP), name=name)
    (record,) = caplog.records
    assert "a.png: of 16 bits a sample the upper 8 are read" in record.getMessage()


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
        "palette.png": (saved(palette, "PNG"), decode_mask),
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


def large_jpegs() -> list[bytes]:
    """Photographs of odd sizes in the kinds of JPEG that libraries write."""
    draw = np.random.default_rng(0)
    small = draw.integers(40, 216, (9, 12, 3), np.uint8)
    picture = Image.fromarray(cv2.resize(small, (341, 295)))
    options = ({}, {"progressive": True}, {"subsampling": 0}, {"quality": 30})
    pictures = [*((picture, each) for each in options)]
    pictures += [(picture.convert(mode), {}) for mode in ("L", "CMYK")]
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        pictures.append((picture, {"exif": exif}))
    buffers = [io.BytesIO() for _ in pictures]
    for (each, how), buffer in zip(pictures, buffers, strict=True):
        each.save(buffer, "JPEG", **how)
    return [buffer.getvalue() for buffer in buffers]


@pytest.mark.parametrize("encoded", large_jpegs())
def test_a_reduced_jpeg_has_the_means_of_its_blocks(encoded):
    whole = decode_samples(encoded)
    reduced, size = decode_reduced(encoded)
    assert size == whole.shape[:2]
    height, width = (n // 8 for n in size)
    assert reduced.shape == (height, width, 3)
    if exif_orientation(encoded) == 1:  # else the cut blocks may be the first
        blocks = whole[: 8 * height, : 8 * width].reshape(height, 8, width, 8, 3)
        # Blocks of colour are of 16 pixels, and their means are rounded.
        assert np.abs(blocks.mean((1, 3)) - reduced).mean() < 2


def test_reduced_jpegs_fail_where_whole_ones_do(capfd):
    draw = np.random.default_rng(0)
    originals = large_jpegs()
    failed = 0
    for index in range(600):
        content = bytearray(originals[index % len(originals)])
        for place in draw.integers(2, draw.choice([700, len(content)]), 3):
            content[place] = draw.integers(0, 256)
        results = []
        for decode in (decode_samples, decode_reduced):
            with suppress(SegError):
                decode(bytes(content))
                results.append(decode)
        assert len(results) in (0, 2)
        failed += not results
    assert failed > 60
