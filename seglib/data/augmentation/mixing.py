"""Mixtures of a pair with others: pasted objects, mixed classes, mosaics."""

from collections.abc import Callable

import cv2
import numpy as np

from seglib.data.pairs import ImageAndMask, resize_image

# Gives another pair: any, or one with a class drawn by its rarity, and the class's id.
Draw = Callable[[np.random.Generator, bool], tuple[ImageAndMask, int]]


def mix(
    name: str,
    pair: ImageAndMask,
    draw: Draw,
    rng: np.random.Generator,
    void: int | None,
) -> ImageAndMask:
    """A new pair of the same size and dtypes, from this one and others.

    Args:
        name: copy_paste, class_mix or mosaic.
        void: id that is no class; None: there is none.
    """
    image, mask = pair[0].copy(), pair[1].copy()

    def drawn(*, rare: bool = False) -> tuple[ImageAndMask, int]:
        (other_image, other_mask), class_id = draw(rng, rare)
        return _resized(other_image, other_mask, mask.shape), class_id

    if name == "mosaic":
        _mosaic(image, mask, [drawn()[0] for _ in range(3)], rng)
        return image, mask
    (other_image, other_mask), class_id = drawn(rare=name == "copy_paste")
    if name == "copy_paste":
        _paste_object(image, mask, other_image, other_mask, class_id, rng)
        return image, mask
    counts = np.bincount(other_mask.reshape(-1))
    ids = np.flatnonzero(counts)
    ids = rng.permutation(ids[ids != void])
    is_chosen = np.zeros(len(counts), bool)
    is_chosen[ids[: (len(ids) + 1) // 2]] = True
    _paste(image, mask, other_image, other_mask, is_chosen[other_mask])
    return image, mask


def _resized(
    image: np.ndarray, mask: np.ndarray, size: tuple[int, int]
) -> ImageAndMask:
    if mask.shape == size:
        return image, mask
    height, width = size
    image = resize_image(image, (width, height), cv2.INTER_AREA)
    return image, cv2.resize(
        mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT
    )


def _mosaic(
    image: np.ndarray,
    mask: np.ndarray,
    others: list[ImageAndMask],
    rng: np.random.Generator,
) -> None:
    """Fill three quarters, about a random middle, with windows of other pairs."""
    height, width = mask.shape
    row, column = (rng.uniform(0.3, 0.7, 2) * (height, width)).astype(int)
    above, below = slice(0, row), slice(row, height)
    left, right = slice(0, column), slice(column, width)
    quarters = [(above, right), (below, left), (below, right)]
    for (rows, columns), (other_image, other_mask) in zip(
        quarters, others, strict=True
    ):
        tall, wide = rows.stop - rows.start, columns.stop - columns.start
        top = rng.integers(height - tall + 1)
        start = rng.integers(width - wide + 1)
        window = (slice(top, top + tall), slice(start, start + wide))
        image[rows, columns] = other_image[window]
        mask[rows, columns] = other_mask[window]


def _paste_object(
    image: np.ndarray,
    mask: np.ndarray,
    other_image: np.ndarray,
    other_mask: np.ndarray,
    class_id: int,
    rng: np.random.Generator,
) -> None:
    """Paste one connected object of a class, at its height, in another column."""
    shown = (other_mask == class_id).astype(np.uint8)
    pixels = np.flatnonzero(shown)
    if not pixels.size:  # too small for the size at which it is seen
        return
    row, column = divmod(int(rng.choice(pixels)), mask.shape[1])
    _, _, _, (left, top, wide, tall) = cv2.floodFill(
        shown, None, (column, row), 2, flags=8
    )
    place = int(rng.integers(mask.shape[1] - wide + 1))
    rows, columns = slice(top, top + tall), slice(left, left + wide)
    there = (rows, slice(place, place + wide))
    of_object = shown[rows, columns] == 2
    _paste(
        image[there],
        mask[there],
        other_image[rows, columns],
        other_mask[rows, columns],
        of_object,
    )


def _paste(
    image: np.ndarray,
    mask: np.ndarray,
    other_image: np.ndarray,
    other_mask: np.ndarray,
    shown: np.ndarray,
) -> None:
    shown = shown.astype(np.uint8)
    # Several times as fast as np.copyto.
    cv2.copyTo(other_image, shown, image)
    cv2.copyTo(other_mask, shown, mask)
