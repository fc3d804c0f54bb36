"""Scores of a model on pairs at their original size, for training and evaluation."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from seglib.data.dataset import Dataset
from seglib.data.pairs import Inputs, Pair, read_pair, split
from seglib.errors import DatasetError, SegError
from seglib.evaluation.metrics import confusion_matrix
from seglib.models.contract import Contract
from seglib.models.model import SegmentationModel

BATCH_SIZE = 8


@dataclass(frozen=True)
class ScoredImage:
    """An image, its mask, the prediction, and their confusion matrix."""

    stem: str
    image: np.ndarray  # uint8 (H, W, C): the first input
    mask: np.ndarray  # (H, W)
    prediction: np.ndarray  # (H, W)
    confusion: np.ndarray  # int64 (num_classes, num_classes)


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
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[ScoredImage]:
    """Predict each pair at its original size and count its confusion matrix.

    Consecutive images of one size are predicted as a batch, while the next batches are
    decoded.

    Raises:
        SegError: a file cannot be read, sizes differ, or an id is out of range; names
            the file.
    """
    done = 0
    for batch in decoded_batches(model, pairs):
        predictions = model.predict_batch(np.stack([image for _, image, _ in batch]))
        for (pair, image, mask), prediction in zip(batch, predictions, strict=True):
            yield _score(model, pair, image, mask, prediction)
        done += len(batch)
        if progress:
            progress(done, len(pairs))


_Item = tuple[Pair, np.ndarray, np.ndarray]


def decoded_batches(
    model: SegmentationModel, pairs: Sequence[Pair]
) -> Iterator[list[_Item]]:
    """Pairs with the model's inputs and masks, in order; a batch has one size.

    Raises:
        SegError: a file cannot be read, or sizes differ; names the file.
    """
    with ThreadPoolExecutor(2) as pool:
        decoded = _ahead(pool, model, pairs)
        for _, group in groupby(decoded, key=lambda item: item[1].shape):
            yield from _batches(group)


def _ahead(
    pool: ThreadPoolExecutor, model: SegmentationModel, pairs: Sequence[Pair]
) -> Iterator[_Item]:
    """Decoded pairs in order, at most two batches ahead."""
    inputs, window = model.contract.inputs, 2 * BATCH_SIZE
    queue = [pool.submit(_read, pair, inputs) for pair in pairs[:window]]
    for upcoming in range(window, len(pairs) + window):
        if not queue:
            return
        yield queue.pop(0).result()
        if upcoming < len(pairs):
            queue.append(pool.submit(_read, pairs[upcoming], inputs))


def _read(pair: Pair, inputs: Inputs) -> _Item:
    return pair, *read_pair(pair, inputs)


def _batches(items: Iterator[_Item]) -> Iterator[list[_Item]]:
    batch: list[_Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == BATCH_SIZE:
            yield batch
            batch = []
    if batch:
        yield batch


def _score(
    model: SegmentationModel,
    pair: Pair,
    image: np.ndarray,
    mask: np.ndarray,
    prediction: np.ndarray,
) -> ScoredImage:
    contract = model.contract
    try:
        counts = confusion_matrix(
            mask,
            prediction,
            num_classes=contract.num_classes,
            ignore_index=contract.ignore_index,
        )
    except SegError as error:
        raise SegError(f"{pair.mask}: {error}") from error
    first = split(image, contract.inputs)[0]
    return ScoredImage(pair.stem, first, mask, prediction, counts)
