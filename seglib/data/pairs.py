"""Pairs: an image, its further inputs and its mask.

A sample may have several input images, such as a photograph and the depth of its
pixels. The network sees them as one image, joined along the channels in the order of
`Inputs`.
"""

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import eq
from pathlib import Path
from typing import TypeVar, overload

import cv2
import numpy as np

from seglib.data.image_io import read_image, read_mask
from seglib.errors import DatasetError, SegError
from seglib.storage.files import normal

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


class Names(Sequence[str]):
    """Many names in little memory: their bytes, and where each ends."""

    def __init__(self, names: Iterable[str]):
        self._text, self._ends = bytearray(), array("q", [0])
        for name in names:
            self._text += name.encode(errors="surrogatepass")
            self._ends.append(len(self._text))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __iter__(self) -> Iterator[str]:
        start = 0
        for end in islice(self._ends, 1, None):
            yield self._text[start:end].decode(errors="surrogatepass")
            start = end

    def digest(self) -> bytes:
        """Of all names, in their order."""
        return hashlib.sha256(self._text + self._ends.tobytes()).digest()

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        index = range(len(self))[index]
        encoded = self._text[self._ends[index] : self._ends[index + 1]]
        return encoded.decode(errors="surrogatepass")


class PairList(Sequence[Pair]):
    """The pairs of a split; each is made when it is asked for.

    Args:
        images: their folder, and the name of each.
        masks: the same of the masks.
        others: the same of each further input.
    """

    def __init__(
        self,
        images: tuple[Path, Names],
        masks: tuple[Path, Names],
        others: Mapping[str, tuple[Path, Names]],
    ):
        self._images, self._masks, self._others = images, masks, others

    def __len__(self) -> int:
        return len(self._images[1])

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Pair, ...]: ...
    def __getitem__(self, index: int | slice) -> Pair | tuple[Pair, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(len(self))[index])
        (images, image_names), (masks, mask_names) = self._images, self._masks
        name = image_names[index]
        return Pair(
            stem_of(name),
            images / name,
            masks / mask_names[index],
            {
                name: folder / names[index]
                for name, (folder, names) in self._others.items()
            },
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]

    def digest(self) -> str:
        """Of all names; it differs for other pairs."""
        digest = hashlib.sha256()
        for _, names in (self._images, self._masks, *self._others.values()):
            digest.update(names.digest())
        return digest.hexdigest()

    def stems(self) -> Iterator[str]:
        """The stem of each pair."""
        return map(stem_of, self._images[1])


def stem_of(name: str) -> str:
    """The stem of a file's name, in Unicode's normal form C."""
    stem, dot, _ = name.rpartition(".")  # for each of a million names: no Path
    stem = stem if dot else name
    return stem if stem.isascii() else normal(stem)


def stems_of(pairs: Sequence[Pair]) -> Iterator[str]:
    """The stem of each pair."""
    return pairs.stems() if isinstance(pairs, PairList) else (p.stem for p in pairs)


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
