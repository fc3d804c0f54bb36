"""Sizes are judged by what a file declares, before any pixel is decoded."""

import random
import struct
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from seglib.data.file_formats import (
    DEFAULT_MAX_PIXELS,
    MAX_PIXELS,
    TooLargeError,
    check_size,
    max_file_bytes,
)
from seglib.data.file_formats import _read as read_header
from seglib.data.image_io import decode_image, decode_mask, read_image, read_mask
from seglib.data.pairs import Pair
from seglib.data.tree import LOCAL
from seglib.data.verification.facts_cache import FactsCache
from seglib.data.verification.reading import Files
from seglib.data.verification.verifier import verify
from seglib.errors import SegError, UsageError
from tests.fakes.images import png, saved
from tests.fakes.inspecting import inspected

FORMATS = {
    "png": {"kind": "PNG"},
    "jpeg": {"kind": "JPEG"},
    "progressive jpeg": {"kind": "JPEG", "progressive": True},
    "jpeg with a thumbnail": {"kind": "JPEG", "exif": b"Exif\0\0\xff\xd8\xff\xc0"},
    "bmp": {"kind": "BMP"},
    "gif": {"kind": "GIF"},
    "tiff": {"kind": "TIFF"},
    "packed tiff": {"kind": "TIFF", "compression": "tiff_lzw"},
    "big tiff": {"kind": "TIFF", "big_tiff": True},
    "webp": {"kind": "WEBP"},
    "lossless webp": {"kind": "WEBP", "lossless": True},
    "webp with metadata": {"kind": "WEBP", "exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"},
}


def _picture(mode: str = "RGB", size: tuple[int, int] = (13, 7)) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3))
    return Image.fromarray(noise.astype(np.uint8)).convert(mode)


@pytest.mark.parametrize("options", FORMATS.values(), ids=FORMATS)
def test_the_declared_size_is_that_of_the_decoded_image(options):
    encoded = saved(_picture(), **options)
    header = read_header(encoded)
    assert (header.height, header.width) == (7, 13)
    assert decode_image(encoded).shape == (7, 13, 3)
    assert header.pixel_bytes in (3, 4)


@pytest.mark.parametrize(
    ("mode", "kind", "pixel_bytes"),
    [
        ("1", "PNG", 1 / 8),
        ("LA", "PNG", 2),
        ("I;16", "PNG", 2),
        ("L", "TIFF", 1),
        ("RGBA", "TIFF", 4),
        ("F", "TIFF", 4),
    ],
)
def test_the_bytes_of_a_pixel_are_known(mode, kind, pixel_bytes):
    encoded = saved(Image.new(mode, (13, 7)), kind)
    assert read_header(encoded) == (7, 13, pixel_bytes)


def test_both_byte_orders_of_tiff_are_read():
    head = b"MM\0*" + struct.pack(">IH", 8, 4)
    tags = (
        (256, 3, 1, 50 << 16),
        (257, 4, 1, 40),
        (258, 3, 3, 62),
        (277, 3, 1, 3 << 16),
    )
    body = b"".join(struct.pack(">HHII", *tag) for tag in tags)
    encoded = head + body + struct.pack(">I", 0) + struct.pack(">3H", 16, 16, 16)
    assert read_header(encoded) == (40, 50, 6)


BOMBS = {
    "a grey mask of 30,000²": png(30_000, 30_000),
    "a palette mask of 13,500²": png(13_500, 13_500, colour=3),
    "a mask of one bit": png(2**31 - 1, 2**31 - 1, depth=1),
    "deep RGBA of 12,000²": png(12_000, 12_000, depth=16, colour=6),
    "a bitmap": b"BM" + bytes(12) + struct.pack("<Iii", 40, 30_000, -30_000),
    "a GIF": b"GIF89a" + struct.pack("<HH", 60_000, 60_000),
    "a WebP": b"RIFF\0\0\0\0WEBPVP8X" + bytes(8) + b"\xff\x3f\0\xff\x3f\0",
    "a JPEG": b"\xff\xd8\xff\xe0\0\x04ab\xff\xc2\0\x0b\x08"
    + struct.pack(">HH", 65000, 65000),
    "a TIFF": b"II*\0"
    + struct.pack("<IH", 8, 2)
    + struct.pack("<HHIIHHII", 256, 4, 1, 10**6, 257, 4, 1, 10**6),
}


@pytest.mark.parametrize("encoded", BOMBS.values(), ids=BOMBS)
def test_a_small_file_that_declares_a_huge_image_is_not_decoded(encoded):
    for decode in (decode_image, decode_mask):
        with pytest.raises(
            TooLargeError, match=r"a.png: too large: [\d,]+×[\d,]+ pixels"
        ):
            decode(encoded, name="a.png")


def test_the_environment_sets_the_limit(monkeypatch):
    with pytest.raises(TooLargeError, match=f"at most {DEFAULT_MAX_PIXELS:,} pixels"):
        check_size(png(13_400, 13_400), "a.png")
    monkeypatch.setenv(MAX_PIXELS, "180_000_000")
    check_size(png(13_400, 13_400), "a.png")
    monkeypatch.setenv(MAX_PIXELS, "90")
    with pytest.raises(TooLargeError, match="7×13 pixels, and at most 90 pixels"):
        decode_image(saved(_picture(), "PNG"))
    for wrong in ("many", "-1", "0", "1e9"):
        monkeypatch.setenv(MAX_PIXELS, wrong)
        with pytest.raises(
            UsageError, match=f"{MAX_PIXELS} must be a number of pixels"
        ):
            check_size(png(1, 1), "a.png")


def test_an_endless_file_is_not_read(tmp_path):
    with (tmp_path / "a.tif").open("wb") as file:
        file.truncate(max_file_bytes() + 1)  # of which the disk holds nothing
    for read in (read_image, read_mask):
        with pytest.raises(SegError, match=r"a.tif: cannot be read \(it has more than"):
            read(tmp_path / "a.tif")


def test_verification_names_huge_images_and_goes_on(folder):
    folder.image("train", "a").write_bytes(png(20_000, 20_000, colour=2))
    folder.mask("train", "b").write_bytes(BOMBS["a palette mask of 13,500²"])
    verification = verify(folder.root)
    found = {problem.path: problem for problem in verification.problems}
    assert {problem.kind for problem in found.values()} == {"too-large"}
    assert "20,000×20,000 pixels" in found[folder.image("train", "a")].reason
    assert "13,500×13,500 pixels" in found[folder.mask("train", "b")].reason
    assert MAX_PIXELS in found[folder.mask("train", "b")].remedy
    assert [facts.stem for facts in verification.pairs["train"]] == ["c"]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_of_several_frames_or_pages_the_first_is_read(kind):
    first, second = (Image.new("RGB", (8, 6), colour) for colour in ("red", "blue"))
    encoded = saved(first, kind, save_all=True, append_images=[second] * 50)
    image = decode_image(encoded)
    assert image.shape == (6, 8, 3)
    assert image[0, 0, 0] > 200
    assert image[0, 0, 2] < 50


@pytest.mark.parametrize(
    "content", [b"P6 2 2 255 " + bytes(12), b"#?RADIANCE\n", b"\0"]
)
def test_other_formats_are_refused_whatever_their_name(content):
    with pytest.raises(SegError, match=r"a.png: not an image, or a damaged one"):
        decode_image(content, name="a.png")


def test_300_damaged_files_are_findings(tmp_path, monkeypatch):
    monkeypatch.setenv(MAX_PIXELS, "1000000")
    draw = random.Random(0)
    whole = [
        saved(_picture(mode), **options)
        for options in FORMATS.values()
        for mode in ("RGB", "L")
    ]
    whole += [saved(_picture(mode), "PNG") for mode in ("P", "1", "RGBA")]
    whole += [saved(Image.new("I;16", (13, 7)), "PNG"), *BOMBS.values()]
    image, mask = tmp_path / "image.png", tmp_path / "mask.png"
    files = Files(LOCAL, FactsCache(tmp_path / "cache"))
    for number in range(300):
        image.write_bytes(_damaged(whole[number % len(whole)], draw))
        mask.write_bytes(_damaged(draw.choice(whole), draw))
        inspection = inspected(files, Pair("a", image, mask))
        for problem in inspection.problems:
            assert problem.reason
        for read, path in ((read_image, image), (read_mask, mask)):
            with suppress(SegError):
                assert read(path).size


def _damaged(encoded: bytes, draw: random.Random) -> bytes:
    content = bytearray(encoded)
    for _ in range(draw.randrange(1, 5)):
        place = min(
            int(draw.expovariate(1 / 30)), len(content) - 1
        )  # mostly the header
        match draw.randrange(4):
            case 0:
                content[place] = draw.randrange(256)
            case 1:
                content[place : place + 4] = draw.choice([b"\xff" * 4, bytes(4)])
            case 2:
                del content[draw.randrange(1, len(content) + 1) :]
            case 3:
                content[place:place] = draw.randbytes(draw.randrange(1, 9))
    return bytes(content)
