"""From pairs on disk to training batches: decode once, then crop, zoom, flip, batch.

grain runs the work in threads; the order and every random choice depend on the seed
alone, not on the number of threads.
"""

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, SupportsIndex

import cv2
import grain
import numpy as np

from seglib.config import TrainConfig
from seglib.data.format import Pair
from seglib.data.images import decode_image, decode_mask, read_image, read_mask
from seglib.errors import SegError

VOID = 65535  # pads masks where a dataset has no ignored id; no class has it
INDEX_FILE = "shards.json"
_CACHE_BYTES = 4 * 2**30
_EPOCHS = 2**20  # without end, but countable: grain needs the length to fit an index
_PREFETCHED_BATCHES = 8
_LENGTHS = struct.Struct("<II")  # bytes of the image, bytes of the mask

ImageAndMask = tuple[np.ndarray, np.ndarray]


class PairSource:
    """Random access to decoded pairs: image uint8 (H, W, C), mask (H, W).

    Decoded pairs stay in memory, up to 4 GiB: decoding costs far more than the rest.
    """

    def __init__(self, pairs: Sequence[Pair], *, channels: int):
        self._pairs, self._channels = pairs, channels
        self._cache: dict[int, ImageAndMask] = {}
        self._cached_bytes = 0

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: SupportsIndex) -> ImageAndMask:
        index = int(index)
        if index in self._cache:
            return self._cache[index]
        image, mask = self._decode(index)
        if self._cached_bytes < _CACHE_BYTES:
            self._cached_bytes += image.nbytes + mask.nbytes
            self._cache[index] = image, mask
        return image, mask

    def _decode(self, index: int) -> ImageAndMask:
        pair = self._pairs[index]
        image = read_image(pair.image, channels=self._channels)
        mask = read_mask(pair.mask)
        if image.shape[:2] != mask.shape:
            raise SegError(
                f"{pair.mask}: the mask is {mask.shape[0]}×{mask.shape[1]} pixels, its "
                f"image {image.shape[0]}×{image.shape[1]}. Run `seglib verify`."
            )
        return image, mask


class ShardSource(PairSource):
    """The same from the shards that `seglib augment` wrote."""

    def __init__(self, folder: Path, *, channels: int):
        index = read_shard_index(folder)
        super().__init__([], channels=channels)
        self._records = grain.sources.ArrayRecordDataSource(
            [str(folder / name) for name in index["shards"]]
        )

    def __len__(self) -> int:
        return len(self._records)

    def _decode(self, index: int) -> ImageAndMask:
        image, mask = unpack_record(self._records[index])
        return (
            decode_image(image, channels=self._channels, name=f"record {index}"),
            decode_mask(mask, name=f"record {index}"),
        )


def read_shard_index(folder: Path) -> dict[str, Any]:
    """The `shards.json` of a folder of shards.

    Raises:
        SegError: the folder holds no shards, or a file of them is missing.
    """
    try:
        index = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
        missing = [name for name in index["shards"] if not (folder / name).is_file()]
    except (OSError, ValueError, KeyError) as error:
        raise SegError(
            f"{folder}: not a folder of shards ({error}). Run `seglib augment`."
        ) from error
    if missing:
        raise SegError(
            f"{folder}: {missing[0]} is missing. Run `seglib augment` again."
        )
    return index


def pack_record(image: bytes, mask: bytes) -> bytes:
    """An encoded pair as one record."""
    return _LENGTHS.pack(len(image), len(mask)) + image + mask


def unpack_record(record: bytes) -> tuple[bytes, bytes]:
    """The inverse of `pack_record`."""
    image_bytes, _ = _LENGTHS.unpack_from(record)
    start = _LENGTHS.size
    return record[start : start + image_bytes], record[start + image_bytes :]


def training_batches(
    source: PairSource,
    *,
    image_size: tuple[int, int],
    ignore_index: int | None,
    config: TrainConfig,
    first_step: int = 0,
    num_threads: int = 2,
) -> grain.IterDataset:
    """Endless shuffled batches: images uint8 (N, H, W, C), masks int32 (N, H, W).

    They start with the batch of `first_step`.
    """
    void = VOID if ignore_index is None else ignore_index
    transform = RandomView(image_size, void, config)
    return (
        grain.MapDataset.source(source)
        .seed(config.train_seed)
        .shuffle()
        .repeat(_EPOCHS)
        .random_map(transform)
        .batch(config.batch_size)[first_step:]
        .to_iter_dataset(grain.ReadOptions(num_threads, _PREFETCHED_BATCHES))
    )


def crop_size(image_size: tuple[int, int], config: TrainConfig) -> tuple[int, int]:
    """The (height, width) of a training view."""
    height, width = image_size
    return config.crop_height or height, config.crop_width or width


class RandomView(grain.transforms.RandomMap):
    """A random zoom, crop, mirror image and tint of a pair, in one pass over it.

    What a zoom below 1 reveals is void, never a class.
    """

    def __init__(self, image_size: tuple[int, int], void: int, config: TrainConfig):
        self._image_size, self._void, self._config = image_size, void, config
        self._crop_size = crop_size(image_size, config)

    def random_map(
        self, element: ImageAndMask, rng: np.random.Generator
    ) -> ImageAndMask:
        image, mask = self._zoom_and_crop(*element, rng)
        if self._config.flip and rng.random() < 0.5:
            image, mask = image[:, ::-1], mask[:, ::-1]
        jitter = self._config.color_jitter
        if jitter and image.shape[2] in (1, 3):
            image = _tint(image, jitter, rng)
        return np.ascontiguousarray(image), np.ascontiguousarray(mask)

    def _zoom_and_crop(
        self, image: np.ndarray, mask: np.ndarray, rng: np.random.Generator
    ) -> ImageAndMask:
        low, high = np.log(self._config.min_scale), np.log(self._config.max_scale)
        zoom = np.exp(rng.uniform(low, high))
        height, width = self._crop_size
        rows = _window(image.shape[0], zoom * self._image_size[0], height, rng)
        columns = _window(image.shape[1], zoom * self._image_size[1], width, rng)
        out_image = np.zeros((height, width, image.shape[2]), np.uint8)
        out_mask = np.full((height, width), self._void, np.int32)
        size = (columns.length, rows.length)
        shrinks = rows.length < rows.stop - rows.start
        view = image[rows.start : rows.stop, columns.start : columns.stop]
        view = cv2.resize(
            view, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
        ids = mask[rows.start : rows.stop, columns.start : columns.stop]
        ids = cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST_EXACT)
        place = (
            slice(rows.place, rows.place + rows.length),
            slice(columns.place, columns.place + columns.length),
        )
        out_image[place] = view if view.ndim == 3 else view[..., None]
        out_mask[place] = ids
        return out_image, out_mask


class _Window:
    """Along one axis: pixels [start, stop) of the image fill `length` at `place`."""

    def __init__(self, start: int, stop: int, length: int, place: int):
        self.start, self.stop, self.length, self.place = start, stop, length, place


def _window(
    image_length: int, zoomed: float, out_length: int, rng: np.random.Generator
) -> _Window:
    """Choose a window; `zoomed` is the whole image's length in output pixels."""
    if zoomed <= out_length:
        length = max(1, round(zoomed))
        place = int(rng.integers(0, out_length - length + 1))
        return _Window(0, image_length, length, place)
    visible = max(1, round(image_length * out_length / zoomed))
    start = int(rng.integers(0, image_length - visible + 1))
    return _Window(start, start + visible, out_length, 0)


def _tint(image: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Random brightness, contrast and saturation, as one colour matrix."""
    contrast, saturation = 1 + amount * rng.uniform(-1, 1, 2)
    middle = float(image[::8, ::8].mean())  # so that a dark scene keeps its detail
    brightness = 64 * amount * rng.uniform(-1, 1) + middle * (1 - contrast)
    if image.shape[2] == 1:
        matrix = np.array([[contrast, brightness]])
        return cv2.transform(image, matrix).reshape(image.shape)
    grey = np.tile(np.array([0.299, 0.587, 0.114]), (3, 1))
    matrix = contrast * (saturation * np.eye(3) + (1 - saturation) * grey)
    return cv2.transform(image, np.column_stack([matrix, np.full(3, brightness)]))
