"""Masks that a trained model doubts, ranked: a part of `seglib verify --model`."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from seglib.data.dataset import Dataset
from seglib.evaluation.doubts import (
    NUM_SHOWN,
    MaskDoubt,
    Review,
    Reviewed,
    confused_classes,
)
from seglib.evaluation.label_quality import doubts
from seglib.evaluation.scoring import check_classes
from seglib.models.model import SegmentationModel, load_model


def review(
    model: SegmentationModel | str | Path,
    dataset: Dataset,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Review:
    """Rank the masks of all splits by how far a model agrees with them.

    Args:
        dataset: of which all files are verified.

    Raises:
        DatasetError: the dataset's classes or inputs are not the model's.
        SegError: the model or a file cannot be read.
    """
    if not isinstance(model, SegmentationModel):
        model = load_model(model)
    check_classes(model.contract, dataset)
    dataset.check_inputs(model.contract.inputs)
    masks: list[Reviewed] = []
    shown: list[MaskDoubt] = []
    total = np.zeros((dataset.num_classes,) * 2, np.int64)
    for doubt in doubts(
        model, dataset.splits, ignore_index=dataset.ignore_index, progress=progress
    ):
        confusion = confused_classes(doubt, dataset.num_classes)
        total += confusion
        drawn, expected = divmod(int(confusion.argmax()), dataset.num_classes)
        contradicted = float(confusion.sum() / doubt.mask.size)
        masks.append(
            Reviewed(
                doubt.split,
                doubt.pair.mask,
                doubt.quality,
                contradicted,
                drawn,
                expected,
            )
        )
        shown = _worst([*shown, doubt])
    return Review(
        dataset, tuple(sorted(masks, key=lambda m: m.quality)), total, tuple(shown)
    )


def _worst(found: Iterable[MaskDoubt]) -> list[MaskDoubt]:
    return sorted(found, key=lambda doubt: doubt.quality)[:NUM_SHOWN]
