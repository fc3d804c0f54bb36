"""Image files as bytes: by Pillow, and by hand where no library writes them."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """A picture in a format of Pillow."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(
    width: int, height: int, *, depth: int = 8, colour: int = 0, lines: bytes = b"\0"
) -> bytes:
    """A PNG that declares a size; without `lines`, of a few bytes and no pixels."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    if colour == 3:
        chunks.insert(1, (b"PLTE", bytes(6)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def grey_png(ids: np.ndarray, bits: int) -> bytes:
    """A grey PNG of `bits` bits a pixel."""
    lines = b"".join(b"\0" + row.tobytes() for row in _packed(ids, bits))
    return png(ids.shape[1], ids.shape[0], depth=bits, lines=lines)


def grey_tiff(ids: np.ndarray, bits: int) -> bytes:
    """A grey TIFF of `bits` bits a pixel."""
    data = _packed(ids, bits).tobytes()
    height, width = ids.shape
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1}
    tags |= {278: height, 279: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, v) for tag, v in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory


def _packed(ids: np.ndarray, bits: int) -> np.ndarray:
    rows = np.unpackbits(ids.astype(np.uint8)[..., None], axis=-1)[..., -bits:]
    return np.packbits(rows.reshape(len(ids), -1), axis=-1)
