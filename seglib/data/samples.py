"""Inputs of a prediction (arrays, Pillow pictures, paths) as one array."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image

from seglib.data.image_io import decode_picture
from seglib.data.pairs import Inputs, describe, join, read_inputs
from seglib.errors import SegError

OneImage = np.ndarray | Image | str | Path
Sample = OneImage | Sequence[OneImage]


def read_sample(sample: Sample, inputs: Inputs) -> np.ndarray:
    """Read the inputs of a model and join them.

    Args:
        sample: one image, a list of one for each input, or all joined in one array.
        inputs: name and channels of the model's inputs.

    Returns:
        uint8 array (H, W, sum of the channels).

    Raises:
        SegError: the type, shape or size does not fit the inputs.
    """
    if isinstance(sample, np.ndarray):
        return _checked(sample, "image", inputs)
    given: list[Any] = list(sample) if isinstance(sample, list | tuple) else [sample]
    if len(given) != len(inputs):
        raise SegError(
            f"The model takes {describe(inputs)}: a list of {len(inputs)}. "
            f"Received: {len(given)}."
        )
    images = [
        _read(one, name, channels)
        for (name, channels), one in zip(inputs.items(), given, strict=True)
    ]
    sizes = [image.shape[:2] for image in images]
    if len(set(sizes)) > 1:
        raise SegError(
            f"The inputs of a sample must be of one size. Received: {sizes}."
        )
    return join(images)


def _read(one: OneImage, name: str, channels: int) -> np.ndarray:
    if isinstance(one, str | Path):
        return read_inputs([Path(one)], {name: channels})
    if isinstance(one, Image):
        return decode_picture(one, channels=channels, name=f"`{name}`")
    if isinstance(one, np.ndarray):
        return _checked(one, name, {name: channels})
    raise SegError(
        f"`{name}` must be an array uint8 (height, width, {channels}), the path of an "
        f"image file or a PIL image. Received: type={type(one).__name__}."
    )


def _checked(image: np.ndarray, name: str, inputs: Inputs) -> np.ndarray:
    channels = sum(inputs.values())
    if image.ndim == 2 and channels == 1:
        image = image[..., None]
    fits = image.ndim == 3 and image.shape[2] == channels and image.dtype == np.uint8
    if not fits or not image.size:
        raise SegError(
            f"`{name}` must be uint8 (height, width, {channels}) as the model's "
            f"contract says: {describe(inputs)}. Received: shape {image.shape}, "
            f"{image.dtype}.{_remedy(image, channels)}"
        )
    return image


def _remedy(image: np.ndarray, channels: int) -> str:
    if image.ndim == 4:
        return " Predict one image at a time, or all of a size by `predict_batch`."
    if image.ndim == 2 and image.size:
        return f" Repeat the grey values: `np.stack([image] * {channels}, axis=-1)`."
    if image.dtype == np.uint16:
        return " The upper 8 of 16 bits are `(image >> 8).astype(np.uint8)`."
    if image.dtype.kind == "f":
        return " Values from 0 to 1 become `(image * 255).round().astype(np.uint8)`."
    return ""
