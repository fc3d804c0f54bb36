"""Pairs: an image, its further inputs and its mask.

A sample may have several input images, such as a photograph and the depth of its
pixels. The network sees them as one image, joined along the channels in the order of
`Inputs`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from seglib.data.image_io import read_image, read_mask
from seglib.errors import DatasetError, SegError

_T = TypeVar("_T")

IMAGE = "image"  # the first input of every sample

Inputs = Mapping[str, int]  # of a sample: name -> channels; the image comes first
ImageAndMask = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and its mask, and further input images by name."""

    stem: str
    image: Path
    mask: Path
    others: Mapping[str, Path] = field(default_factory=dict)

    def files(self, inputs: Inputs) -> list[Path]:
        """The files of these inputs, in their order.

        Raises:
            DatasetError: the pair lacks one.
        """
        missing = [name for name in inputs if name not in (IMAGE, *self.others)]
        if missing:
            raise DatasetError(missing_input(missing[0], inputs, {IMAGE, *self.others}))
        return [self.image if name == IMAGE else self.others[name] for name in inputs]

    def all_files(self) -> list[Path]:
        """The image, the mask, and the others in the order of their names."""
        return [self.image, self.mask, *(self.others[n] for n in sorted(self.others))]


def missing_input(name: str, expected: Inputs, received: set[str]) -> str:
    """The problem of a dataset that lacks an input of a model, as a sentence."""
    return (
        f"The model's inputs are {describe(expected)}; the dataset has no `{name}`. "
        f"Received: {', '.join(sorted(received))}. Name the folder in dataset.yaml: "
        f"`inputs: {{{name}: {expected[name]}}}`."
    )


def describe(inputs: Inputs) -> str:
    """`image (3 channels), depth (1 channel)`."""
    return ", ".join(
        f"{name} ({channels} channel{'s' * (channels > 1)})"
        for name, channels in inputs.items()
    )


def read_pair(pair: Pair, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
    """Read the input images of a pair, and its mask.

    Returns:
        The inputs, joined, uint8 (H, W, sum of their channels), and the mask (H, W).

    Raises:
        SegError: a file cannot be read, or their sizes differ.
    """
    image = read_inputs(pair.files(inputs), inputs)
    mask = read_mask(pair.mask)
    if image.shape[:2] != mask.shape:
        raise SegError(
            f"{pair.mask}: the mask is {_size(mask)} pixels, its image {_size(image)}. "
            "Run `seglib verify`."
        )
    return image, mask


def read_inputs(files: Sequence[Path], inputs: Inputs) -> np.ndarray:
    """Read one file for each input and join them: uint8 (H, W, sum of channels).

    Raises:
        SegError: a file cannot be read, or their sizes differ.
    """
    images = [
        read_image(path, channels=channels)
        for path, channels in zip(files, inputs.values(), strict=True)
    ]
    for path, image in zip(files, images, strict=True):
        if image.shape[:2] != images[0].shape[:2]:
            raise SegError(
                f"{path}: {_size(image)} pixels, but {files[0]} has "
                f"{_size(images[0])}. The inputs of a sample must be of one size."
            )
    return join(images)


def join(images: Sequence[np.ndarray]) -> np.ndarray:
    """Join images (H, W, c) along their channels."""
    return np.concatenate(images, axis=-1) if len(images) > 1 else images[0]


def split(image: np.ndarray, inputs: Inputs) -> list[np.ndarray]:
    """Split a joined image (H, W, C) into views of each input; inverse of `join`."""
    ends = np.cumsum(list(inputs.values()))
    return np.split(image, ends[:-1], axis=-1)


def resize_image(image: np.ndarray, size: tuple[int, int], how: int) -> np.ndarray:
    """An image (H, W, C) at a (width, height); OpenCV averages four channels only."""
    parts = [
        cv2.resize(image[..., i : i + 4], size, interpolation=how)
        for i in range(0, image.shape[2], 4)
    ]
    return join([part if part.ndim == 3 else part[..., None] for part in parts])


def spread(items: Sequence[_T], count: int) -> list[_T]:
    """At most `count` items at even distances, the first and the last among them."""
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round()
    return [items[place] for place in places.astype(int)]


def _size(array: np.ndarray) -> str:
    return f"{array.shape[0]}×{array.shape[1]}"
