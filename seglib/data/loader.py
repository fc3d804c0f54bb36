"""Training batches from pairs on disk: decode once, then zoom, crop, flip, batch.

grain runs the work in threads; the order and every random choice depend on the seed
alone, not on the number of threads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import SupportsIndex

import cv2
import grain
import numpy as np

from seglib.config import TrainConfig
from seglib.data.pairs import Inputs, Pair, join, read_pair
from seglib.hardware import CACHED_BYTES, PREFETCHED_BATCHES, usable_cores

VOID = 65535  # pads masks where a dataset has no ignored id; no class has it
_MOST_THREADS = 8  # 16 of 16 cores loaded 1,075 images/s, 8 of them 1,064
_EPOCHS = 2**20  # without end, but countable: grain needs the length to fit an index

ImageAndMask = tuple[np.ndarray, np.ndarray]
Point = tuple[int, int]  # row, column


class PairSource:
    """Random access to decoded pairs: image uint8 (H, W, C), mask (H, W).

    The image is the sample's `inputs`, joined along the channels. Decoded pairs stay
    in memory, up to 4 GiB: decoding costs far more than the rest.
    """

    def __init__(self, pairs: Sequence[Pair], *, inputs: Inputs):
        self._pairs, self.inputs = pairs, inputs
        self._cache: dict[int, ImageAndMask] = {}
        self._cached_bytes = 0

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: SupportsIndex) -> ImageAndMask:
        index = int(index)
        if index in self._cache:
            return self._cache[index]
        image, mask = self._decode(index)
        if self._cached_bytes < CACHED_BYTES:
            self._cached_bytes += image.nbytes + mask.nbytes
            self._cache[index] = image, mask
        return image, mask

    def name(self, index: int) -> str:
        """What a message calls a pair."""
        return self._pairs[index].image.name

    def _decode(self, index: int) -> ImageAndMask:
        return read_pair(self._pairs[index], self.inputs)


def training_batches(
    source: PairSource,
    *,
    image_size: tuple[int, int],
    ignore_index: int | None,
    config: TrainConfig,
    first_step: int = 0,
    share: tuple[int, int] = (0, 1),
    num_threads: int = 0,
    rare: RareViews | None = None,
) -> grain.IterDataset:
    """Endless shuffled batches: images uint8 (N, H, W, C), masks int32 (N, H, W).

    They start with the batch of `first_step`.

    Args:
        share: (k, n): of each batch the k-th of n equal parts, k from 0 on. The parts
            together are the batch that one reader gets, up to the order inside of it.
        rare: views of rare classes among the others.
        num_threads: that load at the same time; the batches are the same with any
            number. 0: one a core, as far as more were measured to load faster.
    """
    num_threads = num_threads or min(_MOST_THREADS, usable_cores())
    part, parts = share
    void = VOID if ignore_index is None else ignore_index
    colours = next(iter(source.inputs.values()))
    transform = RandomView(image_size, void, config, colours=colours, rare=rare)
    return (
        grain.MapDataset.source(source)
        .seed(config.train_seed)
        .shuffle()
        .repeat(_EPOCHS)
        .random_map(transform)[part::parts]
        .batch(config.batch_size // parts)[first_step:]
        .to_iter_dataset(
            # A thread beyond the buffer's size would have nowhere to put its batch.
            grain.ReadOptions(num_threads, max(num_threads, PREFETCHED_BATCHES))
        )
    )


def batch_members(source: PairSource, config: TrainConfig, step: int) -> list[int]:
    """The indices of the pairs in the batch of a step, which is counted from 0."""
    shuffled = grain.MapDataset.range(len(source)).seed(config.train_seed).shuffle()
    batches = shuffled.repeat(_EPOCHS).batch(config.batch_size)
    return [int(index) for index in batches[step]]


def crop_size(image_size: tuple[int, int], config: TrainConfig) -> tuple[int, int]:
    """The (height, width) of a training view."""
    height, width = image_size
    return config.crop_height or height, config.crop_width or width


@dataclass(frozen=True)
class RareViews:
    """Views that show a class drawn by its rarity.

    source: of all pairs.
    pixels: int64 (images, num_classes), counts of each mask.
    chances: float64 (num_classes,), of each class to be drawn; they sum to 1.
    share: of all views.
    """

    source: PairSource
    pixels: np.ndarray
    chances: np.ndarray
    share: float

    def draw(self, rng: np.random.Generator) -> tuple[ImageAndMask, Point] | None:
        """A pair and a pixel of the class in it, or nothing as `share` has it."""
        if rng.random() >= self.share:
            return None
        drawn = rng.choice(len(self.chances), p=self.chances)
        image, mask = self.source[rng.choice(np.flatnonzero(self.pixels[:, drawn]))]
        pixel = rng.choice(np.flatnonzero(mask.reshape(-1) == drawn))
        row, column = divmod(int(pixel), mask.shape[1])
        return (image, mask), (row, column)


class RandomView(grain.transforms.RandomMap):
    """A random zoom, crop, mirror image and tint of a pair, in one pass over it.

    Pixels that a zoom below 1 reveals are ignored. Only the first `colours` channels
    are tinted, so that further inputs such as depth keep their values.
    """

    def __init__(
        self,
        image_size: tuple[int, int],
        void: int,
        config: TrainConfig,
        *,
        colours: int = 3,
        rare: RareViews | None = None,
    ):
        self._colours, self._rare = colours, rare
        self._image_size, self._void, self._config = image_size, void, config
        self._crop_size = crop_size(image_size, config)

    def random_map(
        self, element: ImageAndMask, rng: np.random.Generator
    ) -> ImageAndMask:
        focus = None
        if self._rare and (drawn := self._rare.draw(rng)):
            element, focus = drawn
        image, mask = self._zoom_and_crop(*element, rng, focus)
        if self._config.flip and rng.random() < 0.5:
            # OpenCV mirrors 13 times as fast as NumPy copies an array backwards.
            image = cv2.flip(image, 1).reshape(image.shape)
            mask = cv2.flip(mask, 1)
        jitter = self._config.color_jitter
        if jitter and self._colours in (1, 3):
            tinted = _tint(image[..., : self._colours], jitter, rng)
            image = join([tinted, image[..., self._colours :]])
        return image, mask

    def _zoom_and_crop(
        self,
        image: np.ndarray,
        mask: np.ndarray,
        rng: np.random.Generator,
        focus: Point | None = None,
    ) -> ImageAndMask:
        low, high = np.log(self._config.min_scale), np.log(self._config.max_scale)
        zoom = np.exp(rng.uniform(low, high))
        height, width = self._crop_size
        row, column = focus or (None, None)
        rows = _window(image.shape[0], zoom * self._image_size[0], height, rng, row)
        columns = _window(
            image.shape[1], zoom * self._image_size[1], width, rng, column
        )
        out_image = np.zeros((height, width, image.shape[2]), np.uint8)
        out_mask = np.full((height, width), self._void, np.int32)
        size = (columns.length, rows.length)
        shrinks = rows.length < rows.stop - rows.start
        view = image[rows.start : rows.stop, columns.start : columns.stop]
        view = _resize(view, size, cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        ids = mask[rows.start : rows.stop, columns.start : columns.stop]
        ids = cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST_EXACT)
        place = (
            slice(rows.place, rows.place + rows.length),
            slice(columns.place, columns.place + columns.length),
        )
        out_image[place] = view
        out_mask[place] = ids
        return out_image, out_mask


def _resize(image: np.ndarray, size: tuple[int, int], how: int) -> np.ndarray:
    """An image (H, W, C) at a (width, height); OpenCV averages four channels only."""
    parts = [
        cv2.resize(image[..., i : i + 4], size, interpolation=how)
        for i in range(0, image.shape[2], 4)
    ]
    return join([part if part.ndim == 3 else part[..., None] for part in parts])


class _Window:
    """Along one axis: pixels [start, stop) of the image fill `length` at `place`."""

    def __init__(self, start: int, stop: int, length: int, place: int):
        self.start, self.stop, self.length, self.place = start, stop, length, place


def _window(
    image_length: int,
    zoomed: float,
    out_length: int,
    rng: np.random.Generator,
    focus: int | None,
) -> _Window:
    """Choose a window; `zoomed` is the whole image's length in output pixels.

    Args:
        focus: a pixel of the image that the window shows.
    """
    if zoomed <= out_length:
        length = max(1, round(zoomed))
        place = int(rng.integers(0, out_length - length + 1))
        return _Window(0, image_length, length, place)
    visible = max(1, round(image_length * out_length / zoomed))
    first, last = 0, image_length - visible
    if focus is not None:
        first, last = max(first, focus - visible + 1), min(last, focus)
    start = int(rng.integers(first, last + 1))
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
