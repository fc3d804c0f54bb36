"""The size that an image file declares, read before decoding.

A file of a megabyte can declare gigabytes of pixels. The formats of datasets are
recognised by their content; other formats that a decoder might take are refused.
"""

import os
import struct
from collections.abc import Callable
from typing import NamedTuple

from seglib.environment import MAX_PIXELS
from seglib.errors import SegError, UsageError

DEFAULT_MAX_PIXELS = 178_956_970  # Pillow's: 13,377 × 13,377
_PIXEL_BYTES = 4  # of RGBA; a pixel of more bytes counts as several
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_TIFF_VALUES = {1: "B", 3: "H", 4: "I", 16: "Q"}  # type -> struct
_WIDTH, _HEIGHT, _BITS, _SAMPLES = 256, 257, 258, 277  # tags of TIFF


class Header(NamedTuple):
    """The size that a file declares."""

    height: int
    width: int
    pixel_bytes: float = _PIXEL_BYTES  # at most


class TooLargeError(SegError):
    """An image with more pixels than the limit for decoding."""

    def __init__(self, name: str, reason: str):
        self.reason = reason
        self.remedy = f"Cut it into tiles, or set {MAX_PIXELS} where there is memory."
        super().__init__(f"{name}: {reason}. {self.remedy}")


def max_pixels() -> int:
    """The largest image that is decoded, in pixels of 4 bytes.

    Raises:
        UsageError: the environment's setting is no positive number.
    """
    text = os.environ.get(MAX_PIXELS, "").replace("_", "")
    if not text:
        return DEFAULT_MAX_PIXELS
    if not text.isdecimal() or not int(text[:20]) > 0:
        raise UsageError(
            f"The environment's {MAX_PIXELS} must be a number of pixels, such as "
            f"{DEFAULT_MAX_PIXELS}. Received: {text!r}."
        )
    return int(text[:20])


def max_file_bytes() -> int:
    """The largest file that is read: the largest image, not compressed, and tags."""
    return _PIXEL_BYTES * max_pixels() + (64 << 20)


def check_size(encoded: bytes, name: str) -> None:
    """Check that an image is not too large to decode.

    Raises:
        TooLargeError: it declares more than `max_pixels`.
        SegError: its content is none of the formats, or ends before its size.
    """
    try:
        header = _read(encoded)
    except (struct.error, IndexError, KeyError, ValueError, OverflowError) as error:
        raise SegError(
            f"{name}: not an image, or a damaged one ({len(encoded):,} bytes). "
            "Restore the file, or remove it together with its partner."
        ) from error
    check_pixels(*header, name=name)


def check_pixels(height: int, width: int, pixel_bytes: float = 4, *, name: str) -> None:
    """Raise a TooLargeError if an image has more than `max_pixels`."""
    limit = max_pixels()
    if height * width * max(1.0, pixel_bytes / _PIXEL_BYTES) > limit:
        depth = f" of {pixel_bytes:g} bytes" if pixel_bytes > _PIXEL_BYTES else ""
        raise TooLargeError(
            name,
            f"too large: {height:,}×{width:,} pixels{depth}, and at most "
            f"{limit:,} pixels of {_PIXEL_BYTES} bytes are decoded",
        )


def _read(encoded: bytes) -> Header:
    for magic, read in _FORMATS.items():
        if encoded.startswith(magic):
            return read(encoded)
    raise ValueError("an unknown format")


def _png(encoded: bytes) -> Header:
    width, height, depth, colour = struct.unpack_from(">IIBB", encoded, 16)
    return Header(height, width, _PNG_CHANNELS[colour] * depth / 8)


def _jpeg(encoded: bytes) -> Header:
    position = 2
    while True:
        position = encoded.index(b"\xff", position)
        marker, position = encoded[position + 1], position + 1
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", encoded, position + 4)
            return Header(height, width)
        if marker == 0xFF or marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            continue  # padding, and markers without a length
        position += 1 + int.from_bytes(encoded[position + 1 : position + 3], "big")


def _bmp(encoded: bytes) -> Header:
    (length,) = struct.unpack_from("<I", encoded, 14)
    form = "<HH" if length == 12 else "<ii"
    width, height = struct.unpack_from(form, encoded, 18)
    return Header(abs(height), abs(width))


def _gif(encoded: bytes) -> Header:
    width, height = struct.unpack_from("<HH", encoded, 6)
    return Header(height, width)


def _webp(encoded: bytes) -> Header:
    if encoded[8:12] != b"WEBP":
        raise ValueError("no WebP")
    kind = encoded[12:16]
    if kind == b"VP8X":
        width = int.from_bytes(encoded[24:27], "little") + 1
        height = int.from_bytes(encoded[27:30], "little") + 1
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", encoded, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (n & 0x3FFF for n in struct.unpack_from("<HH", encoded, 26))
    return Header(height, width)


def _tiff(encoded: bytes) -> Header:
    """The first page's; BigTIFF has wider counts and offsets."""
    order = "<" if encoded[:2] == b"II" else ">"
    big = 43 in encoded[2:4]
    wide, head, entry_bytes = ("Q", "Q", 20) if big else ("I", "H", 12)
    (start,) = struct.unpack_from(order + wide, encoded, 8 if big else 4)
    (count,) = struct.unpack_from(order + head, encoded, start)
    start += struct.calcsize(order + head)
    tags = {_BITS: 1, _SAMPLES: 1}
    for place in range(start, start + entry_bytes * count, entry_bytes):
        tag, kind = struct.unpack_from(order + "HH", encoded, place)
        if tag in (_WIDTH, _HEIGHT, _BITS, _SAMPLES):
            (values,) = struct.unpack_from(order + wide, encoded, place + 4)
            value = place + 4 + struct.calcsize(wide)
            form = order + _TIFF_VALUES[kind]
            if values * struct.calcsize(form) > struct.calcsize(wide):
                (value,) = struct.unpack_from(order + wide, encoded, value)
            (tags[tag],) = struct.unpack_from(form, encoded, value)
    pixel_bytes = tags[_BITS] * tags[_SAMPLES] / 8
    return Header(tags[_HEIGHT], tags[_WIDTH], pixel_bytes)


_FORMATS: dict[bytes, Callable[[bytes], Header]] = {
    b"\x89PNG\r\n\x1a\n": _png,
    b"\xff\xd8\xff": _jpeg,
    b"BM": _bmp,
    b"GIF8": _gif,
    b"RIFF": _webp,
    b"II*\0": _tiff,
    b"MM\0*": _tiff,
    b"II+\0": _tiff,
    b"MM\0+": _tiff,
}
