"""Decoding and encoding of images and masks; no other module does it."""

import base64
import functools
import io
import logging
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from seglib.data.encodings import (
    bits_of_grey,
    has_more_pages,
    is_palette,
    is_small_tiff,
    open_header,
)
from seglib.data.file_formats import (
    PNG_MAGIC,
    TIFF_MAGIC,
    check_pixels,
    check_size,
    lossy_format,
    max_file_bytes,
)
from seglib.errors import SegError
from seglib.storage.atomic_write import write_bytes
from seglib.storage.files import read_file

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
# Raise it when `decode_mask` gives other ids for any file: what was counted in masks is
# kept by their md5 and this number.
MASK_DECODING = 2
MIN_LEVELS = 32  # of 256, that the upper 8 bits of a 16-bit image must keep
BLOCK = 8  # pixels along a side of a JPEG's blocks
_LARGE = 288  # pixels along the shorter side: enough of them are left in an eighth
_AS_RGB = ("CMYK", "YCbCr", "HSV", "LAB", "RGBX")  # modes that PNG does not know
_told: set[str] = set()
_READ_FLAGS = {
    1: cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH,
    3: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH,
}


class UnfitError(SegError):
    """A decodable file that is no image or mask of the expected kind."""


class ColoursError(UnfitError):
    """A mask that stores colours instead of class ids."""


def read_image(path: Path, *, channels: int = 3) -> np.ndarray:
    """Read an image file, turned upright by its EXIF orientation.

    Of 16 bits a sample the upper 8 are taken, whatever range the file uses: one file's
    brightness then means the same in training, evaluation and prediction. Of several
    pages or frames (TIFF, GIF, WebP, PNG) the first is read. Either is logged once.

    Returns:
        uint8 array (H, W, channels): 1 grey, 3 RGB, 4 RGBA.

    Raises:
        SegError: the file is missing, too large, or not an image of 8 or 16 bits a
            sample.
    """
    return decode_image(read_bytes(path), channels=channels, name=str(path))


def decode_image(
    encoded: bytes, *, channels: int = 3, name: str = "image"
) -> np.ndarray:
    """Decode the bytes of an image file; see `read_image`."""
    samples = decode_samples(encoded, channels=channels, name=name)
    if samples.dtype == np.uint8:
        return samples
    largest = int(samples.max())
    if levels_left(largest) < MIN_LEVELS:
        _tell_loss(name, largest)
    else:
        _tell_once(logging.INFO, name, "of 16 bits a sample the upper 8 are read")
    return (samples >> 8).astype(np.uint8)


def decode_samples(
    encoded: bytes, *, channels: int = 3, name: str = "image"
) -> np.ndarray:
    """Decode an image without reduction to 8 bits: uint8 or uint16 (H, W, channels)."""
    check_size(encoded, name)
    _tell_pages(encoded, name)
    buffer = np.frombuffer(encoded, np.uint8)
    if channels == 4:
        image = _decode(buffer, cv2.IMREAD_UNCHANGED, name)
        if image.ndim != 3 or image.shape[2] != 4:
            raise UnfitError(
                f"{name}: expected 4 channels (RGBA). Received: shape {image.shape}. "
                "Build the model with its channels."
            )
    else:
        if encoded.startswith(TIFF_MAGIC):  # OpenCV turns floats to no colours
            unchanged = _decode(buffer, cv2.IMREAD_UNCHANGED, name)
            _check_samples(unchanged, name, "the pixels")
        image = _decode(buffer, _READ_FLAGS[channels], name)
    _check_samples(image, name, "the pixels")
    if channels == 4:
        return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA)
    return image[..., None] if channels == 1 else image


def decode_reduced(
    encoded: bytes, *, name: str = "image"
) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode an image for a look from afar: of a large JPEG, an eighth of each side.

    A JPEG's blocks of 8×8 pixels store their mean. All of its data are decoded, so what
    cannot be decoded in full fails here, too.

    Returns:
        The image, RGB, uint8 or uint16, of a JPEG perhaps the means of its whole
        blocks; and its (height, width) in full, upright.
    """
    if lossy_format(encoded) == "JPEG":
        height, width, _ = check_size(encoded, name)
        if min(height, width) >= _LARGE:
            buffer = np.frombuffer(encoded, np.uint8)
            image = _decode(buffer, cv2.IMREAD_REDUCED_COLOR_8, name)
            eighths = -(-height // BLOCK), -(-width // BLOCK)
            if height == width or eighths[0] != eighths[1]:  # else: turned, or not?
                if image.shape[:2] != eighths:
                    height, width = width, height
                blocks = image[: height // BLOCK, : width // BLOCK]
                return cv2.cvtColor(blocks, cv2.COLOR_BGR2RGB), (height, width)
    image = decode_samples(encoded, name=name)
    return image, image.shape[:2]


def decode_picture(
    picture: Image.Image, *, channels: int = 3, name: str = "image"
) -> np.ndarray:
    """Convert a picture of Pillow like a file of its mode; see `read_image`.

    Returns:
        uint8 array (H, W, channels).
    """
    check_pixels(picture.height, picture.width, name=name)
    upright = ImageOps.exif_transpose(picture)
    if upright.mode in _AS_RGB:
        upright = upright.convert("RGB")
    elif upright.mode == "I":
        values = np.asarray(upright)
        if values.min() >= 0 and values.max() < 1 << 16:
            upright = Image.fromarray(values.astype(np.uint16))
    file = io.BytesIO()
    try:
        if upright.mode == "I":
            raise OSError("numbers of 32 bits")
        upright.save(file, "PNG", compress_level=1)
    except OSError as error:
        raise SegError(
            f"{name}: expected a picture of a mode such as RGB, L or P. "
            f"Received: mode={picture.mode}. Convert it first."
        ) from error
    return decode_image(file.getvalue(), channels=channels, name=name)


def stored_channels(path: Path) -> tuple[int, int]:
    """Channels (1, 3 or 4) and bits a sample (8 or 16) that an image file stores.

    An alpha channel that is the same everywhere is no channel.
    """
    buffer = np.frombuffer(read_bytes(path), np.uint8)
    image = _decode(buffer, cv2.IMREAD_UNCHANGED, str(path))
    bits = 8 * image.itemsize
    if image.ndim == 2:
        return 1, bits
    return (4 if image.shape[2] == 4 and np.ptp(image[..., 3]) else 3), bits


def levels_left(largest: int) -> int:
    """Number of 8-bit levels that distinguish values up to a 16-bit one."""
    return (largest >> 8) + 1


def read_mask(path: Path) -> np.ndarray:
    """Read a mask file: the pixel value, or the palette index, is the class id.

    Of several pages the first is read.

    Returns:
        uint8 or uint16 array (H, W) of class ids.

    Raises:
        SegError: the file is missing, not an image, too large, or has colours for
            ids.
    """
    return decode_mask(read_bytes(path), name=str(path))


def decode_mask(encoded: bytes, *, name: str = "mask") -> np.ndarray:
    """Decode the bytes of a mask file; see `read_mask`."""
    check_size(encoded, name)
    _tell_pages(encoded, name)
    if is_palette(encoded) or is_small_tiff(encoded):
        try:
            mask = np.asarray(open_header(encoded))
        except Exception as error:  # of a damaged file Pillow raises any kind
            raise SegError(f"{name}: the mask cannot be decoded ({error}).") from error
    else:
        mask = _decode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED, name)
    _check_samples(mask, name, "the class ids")
    bits = bits_of_grey(encoded)
    if bits in (1, 2, 4):
        mask = mask // np.uint8(255 // (2**bits - 1))  # decoders stretch to 0 … 255
    if mask.ndim == 3:
        mask = _only_channel(mask, name)
    return np.ascontiguousarray(mask)


def is_see_through(encoded: bytes) -> bool:
    """Whether any pixel of a PNG is transparent by its alpha channel."""
    if not encoded.startswith(PNG_MAGIC) or encoded[25] not in (4, 6):
        return False
    alpha = _decode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED, "")[..., 3]
    return bool((alpha < np.iinfo(alpha.dtype).max).any())


def encode_png(image: np.ndarray, *, compression: int = 3) -> bytes:
    """Encode a mask (H, W) or an image (H, W, 1|3|4) in RGB order as PNG."""
    if image.ndim == 3 and image.shape[2] == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    elif image.ndim == 3 and image.shape[2] == 4:
        image = cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA)
    _, buffer = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, compression])
    return buffer.tobytes()


def encode_jpeg(image: np.ndarray, *, quality: int = 92) -> bytes:
    """Encode an RGB image uint8 (H, W, 3) as JPEG."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, buffer = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return buffer.tobytes()


def jpeg_uri(image: np.ndarray, *, quality: int = 92) -> str:
    """An RGB image uint8 (H, W, 3) as JPEG in a URI, for pages."""
    return _uri("jpeg", encode_jpeg(image, quality=quality))


def png_uri(encoded: bytes) -> str:
    """A PNG in a URI, for pages."""
    return _uri("png", encoded)


def _uri(kind: str, encoded: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode('ascii')}"


def write_image(path: Path, image: np.ndarray) -> None:
    """Write a mask or an image as PNG, or as JPEG where the suffix says so."""
    is_jpeg = path.suffix.lower() in (".jpg", ".jpeg")
    write_bytes(path, encode_jpeg(image) if is_jpeg else encode_png(image))


def read_bytes(path: Path) -> bytes:
    """The content of an image file; a SegError if it cannot be read."""
    try:
        return read_file(Path(path), max_bytes=max_file_bytes())
    except OSError as error:
        raise SegError(f"{path}: cannot be read ({error.strerror}).") from error


def _check_samples(image: np.ndarray, name: str, what: str) -> None:
    if image.dtype not in (np.uint8, np.uint16):
        raise UnfitError(
            f"{name}: samples of {image.dtype}. Expected {what} as integers of 8 or 16 "
            "bits. Scale or convert them, and save a PNG."
        )


def _only_channel(mask: np.ndarray, name: str) -> np.ndarray:
    """The ids of a mask (H, W, C) that is grey, saved as RGB or with alpha."""
    ids = mask[..., 0]
    if (mask[..., :1] != mask[..., 1:3]).any():
        raise ColoursError(
            f"{name}: expected one channel of 8 or 16 bits, a class id a pixel. "
            f"Received: shape {mask.shape}, {mask.dtype}: colours, it seems. "
            "Convert the colours to class ids first."
        )
    if mask.shape[2] == 4 and np.ptp(mask[..., 3]) and not np.ptp(ids):
        raise UnfitError(
            f"{name}: every pixel is {ids.flat[0]}, and only the alpha channel varies. "
            "Expected the class ids as grey values. Save one channel as PNG."
        )
    return ids


@functools.cache  # once a file
def _tell_loss(name: str, largest: int) -> None:
    logger.warning(
        "%s: 16 bits a sample with values up to %s: the upper 8 bits, which are read, "
        "keep %d of 256 levels. Scale the values to 0 … 65535, by one factor for all "
        "files.",
        name,
        f"{largest:,}",
        levels_left(largest),
    )


def _tell_pages(encoded: bytes, name: str) -> None:
    if has_more_pages(encoded):
        _tell_once(
            logging.WARNING, name, "of several pages or frames the first is read"
        )


def _tell_once(level: int, name: str, text: str) -> None:
    """Tell something of a file that is the same for all such files."""
    if text not in _told:
        _told.add(text)
        logger.log(level, "%s: %s, here and in all such files.", name, text)


def _decode(buffer: np.ndarray, flags: int, name: str) -> np.ndarray:
    try:
        image = cv2.imdecode(buffer, flags) if buffer.size else None
    except cv2.error as error:
        raise SegError(f"{name}: cannot be decoded ({error.err}).") from error
    if image is None:
        raise SegError(
            f"{name}: not an image, or a damaged one ({buffer.size:,} bytes). "
            "Restore the file, or remove it together with its partner."
        )
    return image
