"""Images and masks, from and to files: the only place that decodes and encodes."""

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngImageFile

from seglib.data.headers import check_pixels, check_size, max_file_bytes
from seglib.data.integrity import grey_bits
from seglib.errors import SegError
from seglib.files import read_file
from seglib.replacing import write_bytes

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
# Raise it when `decode_mask` gives other ids for any file: what was counted in masks is
# kept by their md5 and this number.
MASK_DECODING = 1
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_AS_RGB = ("CMYK", "YCbCr", "HSV", "LAB", "RGBX")  # modes that PNG does not know
_READ_FLAGS = {1: cv2.IMREAD_GRAYSCALE, 3: cv2.IMREAD_COLOR_RGB}


def read_image(path: Path, *, channels: int = 3) -> np.ndarray:
    """Read an image file, turned upright by its EXIF orientation.

    Returns:
        uint8 array (H, W, channels): 1 grey, 3 RGB, 4 RGBA.

    Raises:
        SegError: the file is missing, not an image, or too large.
    """
    return decode_image(_read_bytes(path), channels=channels, name=str(path))


def decode_image(
    encoded: bytes, *, channels: int = 3, name: str = "image"
) -> np.ndarray:
    """Decode the bytes of an image file; see `read_image`."""
    check_size(encoded, name)
    buffer = np.frombuffer(encoded, np.uint8)
    if channels == 4:
        image = _decode(buffer, cv2.IMREAD_UNCHANGED, name)
        if image.ndim != 3 or image.shape[2] != 4 or image.dtype != np.uint8:
            raise SegError(
                f"{name}: expected 4 channels of 8 bits (RGBA). Received: shape "
                f"{image.shape}, {image.dtype}. Build the model with its channels."
            )
        return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA)
    image = _decode(buffer, _READ_FLAGS[channels], name)
    return image[..., None] if channels == 1 else image


def decode_picture(
    picture: Image.Image, *, channels: int = 3, name: str = "image"
) -> np.ndarray:
    """A picture of Pillow as a file of its mode would be read; see `read_image`."""
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
        upright.save(file, "PNG", compress_level=1)
    except OSError as error:
        raise SegError(
            f"{name}: expected a picture of a mode such as RGB, L or P. "
            f"Received: mode={picture.mode}. Convert it first."
        ) from error
    return decode_image(file.getvalue(), channels=channels, name=name)


def read_mask(path: Path) -> np.ndarray:
    """Read a mask file: the pixel value, or the palette index, is the class id.

    Returns:
        uint8 or uint16 array (H, W) of class ids.

    Raises:
        SegError: the file is missing, not an image, too large, or has colours for
            ids.
    """
    return decode_mask(_read_bytes(path), name=str(path))


def decode_mask(encoded: bytes, *, name: str = "mask") -> np.ndarray:
    """Decode the bytes of a mask file; see `read_mask`."""
    check_size(encoded, name)
    if is_palette_png(encoded):
        try:
            # Not `Image.open`, which has a limit of its own.
            return np.asarray(PngImageFile(io.BytesIO(encoded)))
        except (OSError, SyntaxError, ValueError) as error:
            raise SegError(f"{name}: the mask cannot be decoded ({error}).") from error
    mask = _decode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED, name)
    bits = grey_bits(encoded)
    if bits in (1, 2, 4):
        mask = mask // np.uint8(255 // (2**bits - 1))  # decoders stretch to 0 … 255
    if mask.ndim == 3 and (mask[..., :1] == mask[..., 1:3]).all():
        mask = mask[..., 0]  # grey, saved as RGB
    if mask.ndim != 2 or mask.dtype not in (np.uint8, np.uint16):
        raise SegError(
            f"{name}: expected one channel of 8 or 16 bits, a class id a pixel. "
            f"Received: shape {mask.shape}, {mask.dtype}: colours, it seems. "
            "Convert the colours to class ids first."
        )
    return np.ascontiguousarray(mask)


def is_palette_png(encoded: bytes) -> bool:
    """Whether the PNG stores indices into a colour table (colour type 3)."""
    return encoded[:8] == _PNG_MAGIC and len(encoded) > 25 and encoded[25] == 3


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


def write_image(path: Path, image: np.ndarray) -> None:
    """Write a mask or an image as PNG, or as JPEG where the suffix says so."""
    is_jpeg = path.suffix.lower() in (".jpg", ".jpeg")
    write_bytes(path, encode_jpeg(image) if is_jpeg else encode_png(image))


def _read_bytes(path: Path) -> bytes:
    try:
        return read_file(Path(path), max_bytes=max_file_bytes())
    except OSError as error:
        raise SegError(f"{path}: cannot be read ({error.strerror}).") from error


def _decode(buffer: np.ndarray, flags: int, name: str) -> np.ndarray:
    try:
        image = cv2.imdecode(buffer, flags) if buffer.size else None
    except cv2.error as error:
        raise SegError(f"{name}: cannot be decoded ({error.err}).") from error
    if image is None:
        raise SegError(
            f"{name}: not an image, or a damaged one ({buffer.size} bytes). "
            "Restore the file, or remove it together with its partner."
        )
    return image
