"""Damage, rotation and bit depth of image files, read from their bytes.

OpenCV decodes a truncated PNG or JPEG silently and fills the rest with grey. So this
module checks the containers, chunk by chunk and marker by marker.
"""

import re
import struct
import zlib
from collections.abc import Iterator

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_EXIF_ORIENTATION = 0x0112
# Ends the entropy-coded data: 0xff that is neither stuffing (00), padding (ff) nor
# a restart marker (d0 … d7).
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_JPEG_BARE = frozenset(range(0xD0, 0xD9)) | {0x01}  # markers without a length


def find_damage(encoded: bytes) -> str | None:
    """The reason why a file is damaged; `None` if no damage is found.

    PNG: every chunk's checksum, and the closing IEND. JPEG: the closing marker. WebP:
    the declared length. Other formats are left to their decoder, which notices.
    """
    if not encoded:
        return "the file is empty (0 bytes)"
    if encoded.startswith(_PNG):
        return _png_damage(encoded)
    if encoded.startswith(_JPEG):
        return None if _jpeg_is_closed(encoded) else "truncated: no end-of-image marker"
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


def grey_bits(encoded: bytes) -> int:
    """Bits a pixel of a grey PNG; 0 for anything else."""
    is_grey = encoded.startswith(_PNG) and len(encoded) > 25 and encoded[25] == 0
    return encoded[24] if is_grey else 0


def png_palette(encoded: bytes) -> bytes:
    """The colour table of a PNG, three bytes a colour; empty without a palette."""
    if encoded.startswith(_PNG):
        for kind, content, _ in _png_chunks(encoded):
            if kind == b"PLTE":
                return content
            if kind == b"IDAT":
                break
    return b""


def exif_orientation(encoded: bytes) -> int:
    """The EXIF orientation, 1 … 8; 1 (upright) if the file states none."""
    if encoded.startswith(_PNG):
        chunks = _png_chunks(encoded)
        return next(
            (_orientation(data) for kind, data, _ in chunks if kind == b"eXIf"), 1
        )
    if encoded[:4] == b"RIFF":  # WebP: its EXIF chunk may stand at the very end
        start = encoded.find(b"EXIF") + 8
        return (
            1 if start < 8 else _orientation(encoded[start:].removeprefix(b"Exif\0\0"))
        )
    start = encoded.find(b"Exif\0\0", 0, 1 << 16) + 6
    return 1 if start < 6 else _orientation(encoded[start : start + (1 << 16)])


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
    position, end = len(_PNG), len(encoded)
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


def _jpeg_is_closed(encoded: bytes) -> bool:
    # Walked, not searched: a thumbnail inside a segment has an end marker of its own,
    # and some cameras append data after the real one.
    position = 2
    while found := _JPEG_MARKER.search(encoded, position):
        marker, position = encoded[found.end() - 1], found.end()
        if marker == 0xD9:
            return True
        if marker not in _JPEG_BARE:
            if position + 2 > len(encoded):
                return False
            position += int.from_bytes(encoded[position : position + 2], "big")
    return False


def _orientation(tiff: bytes) -> int:
    """The orientation tag of the first directory of a TIFF header (EXIF 2.32, 4.6)."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 8:
        return 1
    (start,) = struct.unpack_from(order + "I", tiff, 4)
    if start + 2 > len(tiff):
        return 1
    (count,) = struct.unpack_from(order + "H", tiff, start)
    for entry in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 11), 12):
        tag, _, _, value = struct.unpack_from(order + "HHIH", tiff, entry)
        if tag == _EXIF_ORIENTATION:
            return value if 1 <= value <= 8 else 1
    return 1
