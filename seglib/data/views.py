"""Views of training pairs: a random zoom, crop, mirror image and tint in one pass."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import grain
import numpy as np

from seglib.config import TrainConfig
from seglib.data.augmentation.augmenter import Augmenter
from seglib.data.pairs import ImageAndMask, join, resize_image
from seglib.errors import SegError

Point = tuple[int, int]  # row, column


def crop_size(image_size: tuple[int, int], config: TrainConfig) -> tuple[int, int]:
    """The (height, width) of a training view."""
    height, width = image_size
    return config.crop_height or height, config.crop_width or width


@dataclass(frozen=True)
class RareViews:
    """Views that show a class drawn by its rarity.

    pair_at: gives the pair of an index.
    pixels: int64 (images, num_classes), counts of each mask.
    chances: float64 (num_classes,), of each class to be drawn; they sum to 1, or are
        all 0 where no pixel is labelled: then no view is drawn for a class.
    share: of all views.
    """

    pair_at: Callable[[int], ImageAndMask]
    pixels: np.ndarray
    chances: np.ndarray
    share: float

    def draw(self, rng: np.random.Generator) -> tuple[ImageAndMask, Point] | None:
        """A pair and a pixel of the class in it, or nothing as `share` has it."""
        return self.draw_rare(rng) if rng.random() < self.share else None

    def draw_pair(
        self, rng: np.random.Generator, rare: bool
    ) -> tuple[ImageAndMask, int]:
        """Any pair, and -1; or one with a class drawn by its rarity, and its id."""
        if rare and (found := self.draw_rare(rng)):
            pair, pixel = found
            return pair, int(pair[1][pixel])
        return self.pair_at(int(rng.integers(len(self.pixels)))), -1

    def draw_rare(self, rng: np.random.Generator) -> tuple[ImageAndMask, Point] | None:
        """A pair and a pixel of the class for which it was drawn, if there is any."""
        if not self.chances.any():
            return None
        drawn = rng.choice(len(self.chances), p=self.chances)
        image, mask = self.pair_at(rng.choice(np.flatnonzero(self.pixels[:, drawn])))
        pixel = rng.choice(np.flatnonzero(mask.reshape(-1) == drawn))
        row, column = divmod(int(pixel), mask.shape[1])
        return (image, mask), (row, column)


class RandomView(grain.transforms.RandomMap):
    """A random zoom, crop, mirror image and tint of a pair, in one pass over it.

    Pixels that a zoom below 1 reveals are ignored. Only the first `colours` channels
    are tinted, so that further inputs such as depth keep their values. An `augmenter`
    alters the zoomed crop in place of mirror image and tint; the pairs that it mixes
    in are drawn from `others`, and are views too.
    """

    def __init__(
        self,
        image_size: tuple[int, int],
        void: int,
        config: TrainConfig,
        *,
        colours: int = 3,
        rare: RareViews | None = None,
        augmenter: Augmenter | None = None,
        others: RareViews | None = None,
    ):
        self._colours, self._rare = colours, rare
        self._augmenter, self._others = augmenter, others
        self._image_size, self._void, self._config = image_size, void, config
        self._crop_size = crop_size(image_size, config)

    def random_map(
        self, element: ImageAndMask, rng: np.random.Generator
    ) -> ImageAndMask:
        focus = None
        if self._rare and (drawn := self._rare.draw(rng)):
            element, focus = drawn
        image, mask = self._zoom_and_crop(*element, rng, focus)
        if self._augmenter:
            # OpenCV warps masks of 16 bits, and none of 32.
            ids = mask.astype(np.uint16)
            image, ids = self._augmenter(image, ids, rng, self._draw_view)
            return image, ids.astype(np.int32)
        if self._config.flip and rng.random() < 0.5:
            # OpenCV mirrors 13 times as fast as NumPy copies an array backwards.
            image = cv2.flip(image, 1).reshape(image.shape)
            mask = cv2.flip(mask, 1)
        jitter = self._config.color_jitter
        if jitter and self._colours in (1, 3):
            tinted = _tint(image[..., : self._colours], jitter, rng)
            image = join([tinted, image[..., self._colours :]])
        return image, mask

    def _draw_view(
        self, rng: np.random.Generator, rare: bool
    ) -> tuple[ImageAndMask, int]:
        """A view of another pair, and the class for which it was drawn."""
        others = self._others
        if others is None:
            raise SegError("No other pairs were given to mix with.")
        focus = None
        if rare and (found := others.draw_rare(rng)):
            pair, focus = found
            drawn = int(pair[1][focus])
        else:
            pair, drawn = others.draw_pair(rng, rare=False)
        image, mask = self._zoom_and_crop(*pair, rng, focus)
        return (image, mask.astype(np.uint16)), drawn

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
        view = resize_image(view, size, cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        ids = mask[rows.start : rows.stop, columns.start : columns.stop]
        ids = cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST_EXACT)
        place = (
            slice(rows.place, rows.place + rows.length),
            slice(columns.place, columns.place + columns.length),
        )
        out_image[place] = view
        out_mask[place] = ids
        return out_image, out_mask


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
