"""What an image file says of itself, read from its bytes before decoding.

A file of a megabyte can declare gigabytes of pixels, so its size is judged first; the
formats are recognised by their content, and others are refused. OpenCV decodes a
truncated PNG or JPEG silently and fills the rest with grey, so the containers are
checked, chunk by chunk and marker by marker.
"""

import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from seglib.environment import MAX_PIXELS
from seglib.errors import SegError, UsageError

PNG_MAGIC, TIFF_MAGIC = b"\x89PNG\r\n\x1a\n", (b"II*\0", b"MM\0*")
DEFAULT_MAX_PIXELS = 178_956_970  # Pillow's: 13,377 × 13,377
_JPEG = b"\xff\xd8\xff"
_PIXEL_BYTES = 4  # of RGBA; a pixel of more bytes counts as several
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset(range(0xD0, 0xD9)) | {0x01}  # markers without a length
# Not stuffing (00), padding (ff) or a restart marker (d0 … d7).
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_TIFF_VALUES = {1: "B", 3: "H", 4: "I", 16: "Q"}  # type -> struct
_WIDTH, _HEIGHT, _BITS, _ORIENTATION, _SAMPLES = 256, 257, 258, 274, 277  # tags


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


def check_size(encoded: bytes, name: str) -> Header:
    """Check that an image is not too large to decode.

    Returns:
        The size that it declares, before any turn by EXIF.

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
    return header


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


def find_damage(encoded: bytes) -> str | None:
    """The reason why a file is damaged; `None` if no damage is found.

    PNG: every chunk's checksum, and the closing IEND. JPEG: the closing marker. WebP:
    the declared length. Other formats are left to their decoder, which notices.
    """
    if not encoded:
        return "the file is empty (0 bytes)"
    if encoded.startswith(PNG_MAGIC):
        return _png_damage(encoded)
    if encoded.startswith(_JPEG):
        # Walked, not searched: a thumbnail inside a segment has an end marker of its
        # own, and some cameras append data after the real one.
        closed = any(marker == 0xD9 for marker, _ in _jpeg_segments(encoded))
        return None if closed else "truncated: no end-of-image marker"
    if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP":
        declared = int.from_bytes(encoded[4:8], "little") + 8
        if len(encoded) < declared:
            return f"truncated: {len(encoded)} of {declared} bytes"
    return None


def lossy_format(encoded: bytes) -> str:
    """Name of the lossy format, "JPEG" or "WebP", of some content; else "".

    The file's name doesn't matter.
    """
    if encoded.startswith(_JPEG):
        return "JPEG"
    is_webp = encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP"
    return "WebP" if is_webp and b"VP8 " in _webp_chunks(encoded) else ""


def content_suffix(encoded: bytes) -> str:
    """The suffix of an image file by its first bytes, such as `.png`; else ""."""
    if encoded.startswith(b"RIFF") and encoded[8:12] != b"WEBP":
        return ""
    return next((s for magic, s in _SUFFIXES.items() if encoded.startswith(magic)), "")


def png_palette(encoded: bytes) -> bytes:
    """The colour table of a PNG, three bytes a colour; empty without a palette."""
    if encoded.startswith(PNG_MAGIC):
        for kind, content, _ in _png_chunks(encoded):
            if kind == b"PLTE":
                return content
            if kind == b"IDAT":
                break
    return b""


def exif_orientation(encoded: bytes) -> int:
    """The EXIF orientation, 1 … 8; 1 (upright) if the file states none."""
    tiff = b""
    if encoded.startswith(PNG_MAGIC):
        chunks = _png_chunks(encoded)
        tiff = next((data for kind, data, _ in chunks if kind == b"eXIf"), b"")
    elif encoded[:4] == b"RIFF":  # WebP: its EXIF chunk may stand at the very end
        _, _, tiff = encoded.partition(b"EXIF")
        tiff = tiff[4:].removeprefix(b"Exif\0\0")
    elif encoded.startswith(_JPEG):
        tiff = _jpeg_exif(encoded)
    if not tiff.startswith((b"II", b"MM")):
        return 1
    with suppress(struct.error, KeyError):  # a damaged directory
        for tag, value in _tiff_tags(tiff):  # EXIF 2.32, 4.6
            if tag == _ORIENTATION:
                return value if 1 <= value <= 8 else 1
    return 1


def _read(encoded: bytes) -> Header:
    for magic, read in _FORMATS.items():
        if encoded.startswith(magic):
            return read(encoded)
    raise ValueError("an unknown format")


def _png(encoded: bytes) -> Header:
    width, height, depth, colour = struct.unpack_from(">IIBB", encoded, 16)
    return Header(height, width, _PNG_CHANNELS[colour] * depth / 8)


def _jpeg(encoded: bytes) -> Header:
    for marker, position in _jpeg_segments(encoded):
        if marker in _JPEG_FRAMES:
            return Header(*struct.unpack_from(">HH", encoded, position + 3))
    raise ValueError("no frame")


def _jpeg_exif(encoded: bytes) -> bytes:
    """The first EXIF segment before the pixels."""
    for marker, position in _jpeg_segments(encoded):
        if marker == 0xE1 and encoded.startswith(b"Exif\0\0", position + 2):
            return encoded[position + 8 : position + 8 + (1 << 16)]
        if marker == 0xDA:  # the first scan
            break
    return b""


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
    tags = {_BITS: 1, _SAMPLES: 1} | dict(_tiff_tags(encoded))
    return Header(tags[_HEIGHT], tags[_WIDTH], tags[_BITS] * tags[_SAMPLES] / 8)


_FORMATS: dict[bytes, Callable[[bytes], Header]] = {
    PNG_MAGIC: _png,
    _JPEG: _jpeg,
    b"BM": _bmp,
    b"GIF8": _gif,
    b"RIFF": _webp,
    b"II*\0": _tiff,
    b"MM\0*": _tiff,
    b"II+\0": _tiff,
    b"MM\0+": _tiff,
}


_SUFFIXES = {
    PNG_MAGIC: ".png",
    _JPEG: ".jpg",
    b"BM": ".bmp",
    b"GIF8": ".gif",
    b"RIFF": ".webp",
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), ".tif"),
}


def _tiff_tags(tiff: bytes) -> Iterator[tuple[int, int]]:
    """The wanted tags of the first page; BigTIFF has wider counts and offsets."""
    order = "<" if tiff[:2] == b"II" else ">"
    big = 43 in tiff[2:4]
    wide, head, entry_bytes = ("Q", "Q", 20) if big else ("I", "H", 12)
    (start,) = struct.unpack_from(order + wide, tiff, 8 if big else 4)
    (count,) = struct.unpack_from(order + head, tiff, start)
    start += struct.calcsize(order + head)
    for place in range(start, start + entry_bytes * count, entry_bytes):
        tag, kind = struct.unpack_from(order + "HH", tiff, place)
        if tag in (_WIDTH, _HEIGHT, _BITS, _ORIENTATION, _SAMPLES):
            (values,) = struct.unpack_from(order + wide, tiff, place + 4)
            value = place + 4 + struct.calcsize(wide)
            form = order + _TIFF_VALUES[kind]
            if values * struct.calcsize(form) > struct.calcsize(wide):
                (value,) = struct.unpack_from(order + wide, tiff, value)
            yield tag, struct.unpack_from(form, tiff, value)[0]


def _png_damage(encoded: bytes) -> str | None:
    kind = b""
    for kind, content, checksum in _png_chunks(encoded):
        name = kind.decode("latin-1")
        if checksum is None:
            return f"truncated: the file ends inside its {name} chunk"
        if zlib.crc32(content, zlib.crc32(kind)) != checksum:
            return f"corrupt: the checksum of its {name} chunk does not match"
    return None if kind == b"IEND" else "truncated: no closing IEND chunk"


def _png_chunks(encoded: bytes) -> Iterator[tuple[bytes, bytes, int | None]]:
    """Kind, content and checksum of each chunk; None if the file ends before it."""
    position, end = len(PNG_MAGIC), len(encoded)
    while position + 8 <= end:
        length, kind = struct.unpack_from(">I4s", encoded, position)
        stop = position + 8 + length
        if stop + 4 > end:
            yield kind, encoded[position + 8 :], None
            return
        yield (
            kind,
            encoded[position + 8 : stop],
            struct.unpack_from(">I", encoded, stop)[0],
        )
        if kind == b"IEND":
            return
        position = stop + 4


def _webp_chunks(encoded: bytes) -> Iterator[bytes]:
    """The kinds of a WebP's chunks."""
    position = 12
    while position + 8 <= len(encoded):
        yield encoded[position : position + 4]
        length = int.from_bytes(encoded[position + 4 : position + 8], "little")
        position += 8 + length + length % 2


def _jpeg_segments(encoded: bytes) -> Iterator[tuple[int, int]]:
    """Each marker up to the end of the image, and the position behind it."""
    position = 2
    while found := _JPEG_MARKER.search(encoded, position):
        marker, position = encoded[found.end() - 1], found.end()
        yield marker, position
        if marker not in _JPEG_BARE:
            position += int.from_bytes(encoded[position : position + 2], "big")
