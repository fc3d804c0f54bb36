"""Prediction by one or several models, of whole images or tile by tile.

Every way is a mean of probabilities over windows: a window is stretched to the
network's size and its answer is stretched back. Without tiles, the only window is the
image; tiles are of the size of the training images, so that objects appear to the
network at the scale of its training.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from seglib.arguments import checked
from seglib.data.pairs import describe
from seglib.data.samples import Sample, read_sample
from seglib.errors import UsageError
from seglib.hardware import require_memory
from seglib.inference.windows import Span, cut, spans
from seglib.models.contract import Contract
from seglib.models.model import load_model

logger = logging.getLogger(__name__)

OVERLAP = 0.25
FLIP = "flip"
_SCALES = (0.25, 4.0)
_BAND = 64  # rows that are finished at a time
_BATCH_SIZE, _BATCH_BYTES = 8, 2**27  # images, and bytes of their logits
_ROW_BYTES = 2**26  # of the logits of windows that are answered at a time


class Model(Protocol):
    """A `SegmentationModel` or an `ExportedModel`."""

    @property
    def contract(self) -> Contract: ...

    def predict_batch(self, images: np.ndarray) -> np.ndarray: ...

    def predict_logits_batch(self, images: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Answer:
    """The answer to one image, pixel by pixel (H, W).

    `prediction` holds class ids; `probability` float32 is that of the predicted class;
    `entropy` float32, in nats, is that of all classes' probabilities.
    """

    prediction: np.ndarray
    probability: Any = None  # where only class ids were asked for
    entropy: Any = None


class Predictor:
    """Predicts images by one model or the mean of several.

    Args:
        models: a model or its folder, or several whose probabilities are averaged.
        tile: cut images into tiles of the size of the training images, instead of
            stretching them to the network's size. Memory is then that of a row of
            tiles. None: those images alone that are more than twice as large as the
            training images.
        overlap: of neighbouring tiles, as a share of a tile, 0 … 0.9; the middle
            of a tile weighs most.
        tta: test-time augmentation: "flip" and scales, such as "flip,0.75,1.25".
            Every image is seen as it is, too. A scale above 1 shows the network
            the image enlarged, in tiles; one below 1 shows it with mirrored
            surroundings.

    Raises:
        UsageError: an argument is out of its range, or models do not agree.
    """

    @checked
    def __init__(
        self,
        models: Any,
        *,
        tile: bool | None = None,
        overlap: float = OVERLAP,
        tta: str | Sequence[str | float] = (),
    ):
        given = list(models) if isinstance(models, list | tuple) else [models]
        self.models: list[Model] = list(map(_opened, given))
        if not self.models:
            raise UsageError("`models` must be one or several. Received: none.")
        if not 0 <= overlap <= 0.9:
            raise UsageError(
                f"`overlap` must be a share of a tile, 0 … 0.9. Received: {overlap}."
            )
        _require_agreement([model.contract for model in self.models])
        self.contract = self.models[0].contract
        self.tile, self.overlap = tile, overlap
        self.flips, self.scales = _augmentations(tta)
        self._has_told = False

    def batch_size(self, shape: Sequence[int]) -> int:
        """How many images (H, W, C) `predict_batch` should get at a time."""
        return _fitting(shape, self.contract.num_classes) if self._plain(shape) else 1

    def tiles(self, shape: Sequence[int]) -> bool:
        """Whether an image (H, W, C) is cut into tiles."""
        return self.contract.is_large(shape) if self.tile is None else self.tile

    def shrinks(self, shape: Sequence[int]) -> bool:
        """Whether an image (H, W, C) appears at less than half its training's scale."""
        return not self.tiles(shape) and self.contract.is_large(shape)

    def _plain(self, shape: Sequence[int]) -> bool:
        """Whether an image (H, W, C) is one window of one model."""
        passes = len(self.models) * len(self.flips) * len(self.scales)
        return passes == 1 and not self.tiles(shape)

    def predict(self, image: Sample) -> np.ndarray:
        """Class ids (H, W) of an image; see `SegmentationModel.predict`."""
        array = read_sample(image, self.contract.inputs)
        return self.predict_batch(array[None])[0]

    def predict_batch(self, images: np.ndarray) -> np.ndarray:
        """Class ids (N, H, W) of images uint8 (N, H, W, channels) of one size."""
        if self._plain(images.shape[1:]):
            return self.models[0].predict_batch(images)
        found = np.empty(images.shape[:3], self.contract.mask_dtype)
        for image, prediction in zip(images, found, strict=True):
            for rows, probabilities in self._bands(image):
                prediction[rows] = probabilities.argmax(-1)
        return found

    def answer(self, image: Sample) -> Answer:
        """Class ids, their probability and the entropy of an image."""
        image = read_sample(image, self.contract.inputs)
        size = image.shape[:2]
        prediction = np.empty(size, self.contract.mask_dtype)
        probability, doubt = np.empty(size, np.float32), np.empty(size, np.float32)
        for rows, probabilities in self._bands(image):
            prediction[rows] = probabilities.argmax(-1)
            probability[rows] = probabilities.max(-1)
            doubt[rows] = entropy(probabilities)
        return Answer(prediction, probability, doubt)

    def _bands(self, image: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Rows, and their probabilities float32 (rows, W, num_classes), downwards.

        All models' windows are taken in the order of their upper edges: the rows above
        the next one are complete.
        """
        self._tell_tiles(image.shape)
        rows = sorted(self._rows(image.shape), key=lambda row: row.span.start)
        height = max(row.span.stop - row.span.start for row in rows)
        width, classes = image.shape[1], self.contract.num_classes
        require_memory((1, height, width), classes)
        sums = np.zeros((height, width, classes), np.float32)  # below the upper edge
        ends = [row.span.start for row in rows[1:]] + [image.shape[0]]
        for row, end in zip(rows, ends, strict=True):
            self._add(image, row, sums)
            top = row.span.start
            for first in range(top, end, _BAND):
                last = min(first + _BAND, end)
                yield slice(first, last), sums[first - top : last - top]
            if end > top:
                kept = height - (end - top)
                sums[:kept] = sums[end - top :]
                sums[kept:] = 0

    def _rows(self, shape: Sequence[int]) -> Iterator["_Row"]:
        number = len(self.models) * len(self.scales)
        for model in self.models:
            base = model.contract.window_size if self.tiles(shape) else shape[:2]
            for scale in self.scales:
                high, wide = (max(1, round(side / scale)) for side in base)
                columns = spans(shape[1], wide, self.overlap)
                for span in spans(shape[0], high, self.overlap):
                    yield _Row(model, span, columns, 1 / number)

    def _tell_tiles(self, shape: Sequence[int]) -> None:
        """Say once that images are tiled, where nobody asked for it."""
        if self.tile is None and self.tiles(shape) and not self._has_told:
            self._has_told = True
            logger.info(
                "Images such as one of %s pixels, more than twice as large as those of "
                "the training (%s), are predicted in tiles. `--no-tile`, in Python "
                "`tile=False`, shrinks them instead.",
                _size(shape),
                _size(self.contract.window_size),
            )

    def _add(self, image: np.ndarray, row: "_Row", sums: np.ndarray) -> None:
        """Add the weighted probabilities of a row of windows to its rows."""
        above, height = row.span.before, row.span.stop - row.span.start
        size = (above + height + row.span.after, row.width)
        most = _fitting(size, self.contract.num_classes, _ROW_BYTES)
        for first in range(0, len(row.columns), most):
            columns = row.columns[first : first + most]
            windows = np.stack([cut(image, row.span, column) for column in columns])
            found = _probabilities(row.model, windows, self.flips)
            for column, window in zip(columns, found, strict=True):
                left, width = column.before, column.stop - column.start
                inside = window[above : above + height, left : left + width]
                weights = row.span.weights[:, None] * column.weights * row.share
                inside = inside * weights[..., None]
                sums[:height, column.start : column.stop] += inside


@dataclass(frozen=True)
class _Row:
    """Windows side by side, of one model and scale."""

    model: Model
    span: Span
    columns: list[Span]
    share: float  # of the mean

    @property
    def width(self) -> int:
        """Of each window."""
        first = self.columns[0]
        return first.before + first.stop - first.start + first.after


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Entropy in nats (…) of probabilities (…, num_classes)."""
    safe = np.maximum(probabilities, 1e-12)
    return -(probabilities * np.log(safe)).sum(-1)


def _probabilities(
    model: Model, windows: np.ndarray, flips: Sequence[bool]
) -> np.ndarray:
    """Their mean over the flips: float32 (N, h, w, num_classes)."""
    total = np.zeros((), np.float32)
    for flip in flips:
        seen = windows[:, :, ::-1] if flip else windows
        logits = model.predict_logits_batch(np.ascontiguousarray(seen))
        found = logits - logits.max(-1, keepdims=True)
        np.exp(found, out=found)
        found /= found.sum(-1, keepdims=True)
        total = total + (found[:, :, ::-1] if flip else found)
    return total / len(flips) if len(flips) > 1 else total


def _opened(model: Any) -> Any:
    """A model, or that of a folder."""
    if isinstance(model, str | Path):
        return load_model(model)
    if not hasattr(model, "predict_logits_batch"):
        raise UsageError(
            "`models` must be a `SegmentationModel` or an `ExportedModel`, the folder "
            f"of a model, or several of them. Received: type {type(model).__name__}."
        )
    return model


def _size(shape: Sequence[int]) -> str:
    return f"{shape[0]}×{shape[1]}"


def _fitting(
    size: Sequence[int], num_classes: int, size_bytes: int = _BATCH_BYTES
) -> int:
    """How many images of a size are predicted at a time."""
    needed = 8 * size[0] * size[1] * num_classes
    return max(1, min(_BATCH_SIZE, size_bytes // needed))


def _augmentations(
    tta: str | Sequence[str | float],
) -> tuple[tuple[bool, ...], tuple[float, ...]]:
    """The flips and the scales at which an image is seen."""
    given = tta.split(",") if isinstance(tta, str) else [str(one) for one in tta]
    words = [word.strip() for word in given if word.strip()]
    flips, scales = [False], [1.0]
    for word in words:
        if word == FLIP:
            flips = [False, True]
            continue
        try:
            scale = float(word)
        except ValueError:
            scale = 0
        if not _SCALES[0] <= scale <= _SCALES[1]:
            raise UsageError(
                f"`tta` expects `{FLIP}` and scales from {_SCALES[0]} to {_SCALES[1]}, "
                f"such as flip,0.75,1.25. Received: {word}."
            )
        scales += [scale] * (scale not in scales)
    return tuple(flips), tuple(scales)


def _require_agreement(contracts: Sequence[Contract]) -> None:
    first = contracts[0]
    for number, other in enumerate(contracts[1:], start=2):
        for what, one, two in (
            ("classes", ", ".join(first.class_names), ", ".join(other.class_names)),
            ("inputs", describe(first.inputs), describe(other.inputs)),
        ):
            if one != two:
                raise UsageError(
                    f"Models that predict together must have the same {what}. "
                    f"Received: model 1: {one}; model {number}: {two}."
                )
