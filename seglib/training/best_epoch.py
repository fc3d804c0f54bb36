"""Validation after an epoch, and the best model so far."""

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from seglib.data.pairs import Pair
from seglib.errors import SegError
from seglib.evaluation.metrics import Scores
from seglib.evaluation.scoring import score_pairs
from seglib.models.model import SegmentationModel
from seglib.training.history import DrawCurves, Row, save_with_history

logger = logging.getLogger(__name__)


class BestEpoch:
    """Measures the network that learns, and saves its best epoch.

    Args:
        model: it gets the weights; its network has the number format of the artifact.
        val: pairs on which is measured, at their original size.
        out: folder of the model. None: nothing is saved.
        draw_curves: gives the picture of a history.
    """

    def __init__(
        self,
        model: SegmentationModel,
        *,
        val: Sequence[Pair],
        out: Path | None,
        draw_curves: DrawCurves,
    ):
        self._model, self._val, self._out = model, val, out
        self._draw = draw_curves
        self._unfinished = out and out.with_name(f"{out.name}.unfinished")

    def measure(self, network: keras.Model) -> float:
        """Val mIoU; NaN without a val split."""
        if not self._val:
            return float("nan")
        self._model.network.set_weights(network.get_weights())
        counts = sum(image.confusion for image in score_pairs(self._model, self._val))
        return Scores(np.asarray(counts)).miou

    def save(self, weights: list[np.ndarray], history: list[Row]) -> None:
        """Write the best model so far to OUT.unfinished; a failure is a warning."""
        if self._unfinished is None:
            return
        self._model.network.set_weights(weights)
        try:
            save_with_history(self._model, self._unfinished, history, self._draw)
        except SegError as error:  # a convenience: the state has the weights, too
            logger.warning("The best epoch so far is not kept. %s", error)

    def finish(self, weights: list[np.ndarray], history: list[Row]) -> None:
        """Give the model its weights, and write it to OUT.

        Raises:
            SegError: the folder cannot be written.
        """
        self._model.network.set_weights(weights)
        if self._out and self._unfinished:
            save_with_history(self._model, self._out, history, self._draw)
            shutil.rmtree(self._unfinished, ignore_errors=True)
