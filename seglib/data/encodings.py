"""Pixel encodings of image files: palettes, and grey of few bits."""

import io

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from seglib.data.file_formats import PNG_MAGIC, TIFF_MAGIC, png_palette

_READERS: dict[bytes, type[ImageFile]] = {  # not `Image.open`: it has its own limit
    PNG_MAGIC: PngImageFile,
    b"BM": BmpImageFile,
    b"GIF8": GifImageFile,
    **dict.fromkeys(TIFF_MAGIC, TiffImageFile),
}
_HEAD = 2**16  # bytes of a PNG, in which animation is declared
_BITS_PER_SAMPLE = 258  # a tag of TIFF


def is_palette(encoded: bytes) -> bool:
    """Whether the file stores indices into a colour table."""
    if encoded.startswith(PNG_MAGIC):
        return len(encoded) > 25 and encoded[25] == 3
    header = _header(encoded)
    return header is not None and header.mode == "P"


def colour_table(encoded: bytes) -> bytes:
    """The colours of a palette, three bytes each; empty without a palette."""
    if encoded.startswith(PNG_MAGIC):
        return png_palette(encoded)
    header = _header(encoded)
    try:
        return bytes((header and header.getpalette()) or ())
    except Exception:  # noqa: BLE001 - of what follows the header, too
        return b""


def bits_of_grey(encoded: bytes) -> int:
    """Bits a pixel of a grey PNG, and of another format below 8; else 0."""
    if encoded.startswith(PNG_MAGIC):
        return encoded[24] if len(encoded) > 25 and encoded[25] == 0 else 0
    header = _header(encoded)
    if header is None:
        return 0
    if header.mode == "L" and (bits := _tiff_bits(header)) < 8:
        return bits
    return 1 if header.mode == "1" else 0


def is_small_tiff(encoded: bytes) -> bool:
    """Whether OpenCV would scale a TIFF by its alpha, or refuse its few bits."""
    header = _header(encoded)
    if header is None or header.mode not in ("L", "RGBA"):
        return False
    return _tiff_bits(header) < (8 if header.mode == "L" else 9)


def has_more_pages(encoded: bytes) -> bool:
    """Whether a file holds several pages or frames, of which the first is read."""
    if encoded.startswith(PNG_MAGIC):
        return b"acTL" in encoded[:_HEAD].partition(b"IDAT")[0]
    if encoded.startswith(b"RIFF"):  # WebP: a flag of the extended header
        return encoded[12:16] == b"VP8X" and bool(encoded[20:21] and encoded[20] & 2)
    return bool(getattr(_header(encoded), "is_animated", False))


def open_header(encoded: bytes) -> Image.Image | None:
    """A PNG, BMP, GIF or TIFF for Pillow, which decodes it when its pixels are read."""
    for magic, reader in _READERS.items():
        if encoded.startswith(magic):
            return reader(io.BytesIO(encoded))
    return None


def _header(encoded: bytes) -> Image.Image | None:
    """The header of a BMP, GIF or TIFF; no pixel is decoded."""
    if encoded.startswith(PNG_MAGIC):
        return None
    try:
        return open_header(encoded)
    except Exception:  # noqa: BLE001 - of a damaged header Pillow raises any kind
        return None  # their other decoder takes more, or says what is wrong


def _tiff_bits(header: Image.Image) -> int:
    """Bits a sample of a TIFF; of another format 8."""
    tags = getattr(header, "tag_v2", {_BITS_PER_SAMPLE: (8,)})
    bits = tags.get(_BITS_PER_SAMPLE) or (1,)
    return bits[0] if isinstance(bits[0], int) else 1
