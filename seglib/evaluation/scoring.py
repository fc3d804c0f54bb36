"""Scores of a model on pairs at their original size, for training and evaluation."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from seglib.data.dataset import Dataset
from seglib.data.pairs import Pair, read_pair, split
from seglib.data.read_ahead import equal_batches, read_ahead
from seglib.errors import DatasetError, SegError
from seglib.evaluation.boundary import boundary_counts
from seglib.evaluation.calibration import LEVELS, confidence_counts
from seglib.evaluation.metrics import confusion_matrix
from seglib.evaluation.sizes import size_counts
from seglib.models.contract import Contract
from seglib.models.model import SegmentationModel

BATCH_SIZE = 8


@dataclass(frozen=True)
class Details:
    """What an evaluation counts of an image beside its confusion matrix."""

    boundary_correct: np.ndarray  # int64 (num_classes,)
    boundary_union: np.ndarray  # int64 (num_classes,)
    sizes: np.ndarray  # of `size_counts`
    confidences: np.ndarray  # of `confidence_counts`
    confidence: float  # mean over the image's sampled pixels, 0 … 1


@dataclass(frozen=True)
class ScoredImage:
    """An image, its mask, the prediction, and their confusion matrix."""

    stem: str
    image: np.ndarray  # uint8 (H, W, C): the first input
    mask: np.ndarray  # (H, W)
    prediction: np.ndarray  # (H, W)
    confusion: np.ndarray  # int64 (num_classes, num_classes)
    details: Details | None = None


def check_classes(contract: Contract, data: Dataset) -> None:
    """Raise a DatasetError unless the model and the dataset have as many classes."""
    if data.num_classes != contract.num_classes:
        raise DatasetError(
            f"{data.root}: the dataset has {data.num_classes} classes, the model "
            f"{contract.num_classes} ({', '.join(contract.class_names)}). Evaluate on "
            "a dataset with the model's classes; where a folder has no dataset.yaml, "
            f"give num_classes={contract.num_classes}."
        )


def score_pairs(
    model: SegmentationModel,
    pairs: Sequence[Pair],
    *,
    detailed: bool = False,
    batch_size: int = BATCH_SIZE,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[ScoredImage]:
    """Predict each pair at its original size and count its confusion matrix.

    Consecutive images of one size are predicted as a batch, while the next batches are
    decoded and the one before is counted.

    Args:
        detailed: whether to count `Details`, too.

    Raises:
        SegError: a file cannot be read, sizes differ, or an id is out of range; names
            the file.
    """
    predict = _with_confidences(model) if detailed else _ids_alone(model)

    def answered() -> Iterator[tuple[Any, ...]]:
        done = 0
        for batch in decoded_batches(model, pairs, batch_size):
            answers = predict(np.stack([image for _, image, _ in batch]))
            for item, answer in zip(batch, answers, strict=True):
                yield *item, *answer
            done += len(batch)
            if progress:
                progress(done, len(pairs))

    def score(each: tuple[Any, ...]) -> ScoredImage:
        return _score(model, *each)

    with ThreadPoolExecutor(2) as pool:
        yield from read_ahead(pool, score, answered(), most=lambda: batch_size)


_Item = tuple[Pair, np.ndarray, np.ndarray]
_Answer = tuple[np.ndarray, np.ndarray | None]  # ids and confidences
_Predict = Callable[[np.ndarray], list[_Answer]]


def _ids_alone(model: SegmentationModel) -> _Predict:
    return lambda images: [(ids, None) for ids in model.predict_batch(images)]


def _with_confidences(model: SegmentationModel) -> _Predict:
    return lambda images: list(
        zip(*model.predict_with_confidences(images), strict=True)
    )


def decoded_batches(
    model: SegmentationModel, pairs: Sequence[Pair], size: int = BATCH_SIZE
) -> Iterator[list[_Item]]:
    """Pairs with the model's inputs and masks, in order; a batch has one size.

    Raises:
        SegError: a file cannot be read, or sizes differ; names the file.
    """
    inputs = model.contract.inputs

    def read(pair: Pair) -> _Item:
        return pair, *read_pair(pair, inputs)

    with ThreadPoolExecutor(2) as pool:
        decoded = read_ahead(pool, read, pairs, most=lambda: 2 * size)
        yield from equal_batches(decoded, lambda item: item[1].shape, lambda _: size)


def _score(
    model: SegmentationModel,
    pair: Pair,
    image: np.ndarray,
    mask: np.ndarray,
    prediction: np.ndarray,
    confidences: np.ndarray | None,
) -> ScoredImage:
    contract = model.contract
    ids: dict[str, Any] = {
        "num_classes": contract.num_classes,
        "ignore_index": contract.ignore_index,
    }
    try:
        counts = confusion_matrix(mask, prediction, **ids)
    except SegError as error:
        raise SegError(f"{pair.mask}: {error}") from error
    first = split(image, contract.inputs)[0]
    scored = pair.stem, first, mask, prediction, counts
    if confidences is None:
        return ScoredImage(*scored)
    sampled = confidence_counts(mask, prediction, confidences, **ids)
    pixels, _, levels = sampled.sum((0, 1)).tolist()
    details = Details(
        *boundary_counts(mask, prediction, **ids),
        sizes=size_counts(mask, prediction, **ids),
        confidences=sampled,
        confidence=levels / (LEVELS * pixels) if pixels else float("nan"),
    )
    return ScoredImage(*scored, details)
