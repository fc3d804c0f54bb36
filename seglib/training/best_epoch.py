"""Validation after an epoch, and the artifact with the best weights so far."""

import csv
import io
import json
import logging
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seglib.data.image_io import read_mask
from seglib.data.pairs import Pair
from seglib.errors import SegError, UsageError, unknown
from seglib.evaluation.metrics import Scores
from seglib.evaluation.scoring import score_pairs
from seglib.models.contract import CONTRACT
from seglib.models.model import SegmentationModel
from seglib.storage.files import TRAINING, read_file
from seglib.training.state import Row

logger = logging.getLogger(__name__)

DrawCurves = Callable[[Sequence[dict[str, float | None]]], bytes]  # rows → PNG


@dataclass(frozen=True)
class BestEpoch:
    """Measures the network that learns, and saves its best epoch.

    model: it gets the weights; its network has the number format of the artifact.
    val: pairs on which is measured, at their original size.
    out: folder of the model. None: nothing is saved.
    draw_curves: gives the picture of a history.
    best_by: the score that decides which epoch is best.
    key: content key of the training, kept beside the network.

    Raises:
        UsageError: `best_by` names a class that the model does not have.
    """

    model: SegmentationModel
    val: Sequence[Pair]
    out: Path | None
    draw_curves: DrawCurves
    best_by: str = "miou"
    key: str = ""

    def __post_init__(self) -> None:
        _, _, name = self.best_by.partition("/")
        if name and name not in self.model.contract.class_names:
            raise unknown("class in `best_by`", name, self.model.contract.class_names)

    def require_own(self) -> None:
        """See that `out` holds no model of a different training.

        Raises:
            UsageError: it does.
        """
        if not self.out or not (self.out / CONTRACT).exists():
            return
        try:
            known = json.loads(read_file(self.out / TRAINING))["key"]
        except (OSError, ValueError, KeyError, TypeError):
            known = ""  # made by other means
        if not self.key or known != self.key:
            raise UsageError(
                f"{self.out}: holds the model of another training: other settings, "
                "data, first weights or code. Choose another folder with --out, or "
                "replace it with --overwrite."
            )

    def require_pixels(self) -> None:
        """See that the val split, where there is one, can decide.

        Raises:
            SegError: it has no pixel of the class in `best_by`, or of any.
        """
        contract, (_, _, name) = self.model.contract, self.best_by.partition("/")
        classes = range(contract.num_classes)
        wanted = {contract.class_names.index(name)} if name else {*classes}
        wanted -= {contract.ignore_index}
        masks = (read_mask(pair.mask) for pair in self.val)
        if self.val and not any(np.isin(mask, [*wanted]).any() for mask in masks):
            raise SegError(
                f"The val split has no pixel of {name or 'any class'}, so that there "
                f"is no `{self.best_by}`. Choose another `best_by`, or add images."
            )

    def measure(self, weights: list[np.ndarray]) -> Scores | None:
        """Scores of a network's weights on the val split; None without one."""
        if not self.val:
            return None
        self.model.network.set_weights(weights)
        counts = sum(image.confusion for image in score_pairs(self.model, self.val))
        return Scores(np.asarray(counts))

    def score(self, scores: Scores | None) -> float:
        """The score that decides; NaN without scores."""
        if not scores:
            return float("nan")
        kind, _, name = self.best_by.partition("/")
        score = getattr(scores, kind)
        if name:
            score = score[self.model.contract.class_names.index(name)]
        return float(np.nan_to_num(score))  # no prediction of a class: no precision

    def save(self, weights: list[np.ndarray], history: list[Row]) -> None:
        """Write the best model so far to OUT.unfinished; a failure is a warning."""
        if self.out:
            self.model.network.set_weights(weights)
            try:
                self._write(_unfinished(self.out), history)
            except SegError as error:  # a convenience: the state has the weights, too
                logger.warning("The best epoch so far is not kept. %s", error)

    def finish(
        self,
        weights: list[np.ndarray],
        history: list[Row],
        resolved: Mapping[str, Any],
    ) -> None:
        """Give the model its weights, and write it to OUT.

        Args:
            resolved: what automatic settings came to.

        Raises:
            SegError: the folder cannot be written.
        """
        self.model.network.set_weights(weights)
        if self.out:
            self._write(self.out, history, resolved)
            shutil.rmtree(_unfinished(self.out), ignore_errors=True)

    def _write(
        self,
        folder: Path,
        history: list[Row],
        resolved: Mapping[str, Any] | None = None,
    ) -> None:
        rows = [
            {key: None if math.isnan(value) else value for key, value in row.items()}
            for row in history
        ]
        training = {"key": self.key, "resolved": dict(resolved or {})}
        table = io.StringIO()
        lines = csv.DictWriter(table, history[0], lineterminator="\n")
        lines.writeheader()
        lines.writerows(rows)  # empty where an epoch was not validated
        files = {
            "history.json": (json.dumps(rows, indent=1) + "\n").encode(),
            "history.csv": table.getvalue().encode(),
            "curves.png": self.draw_curves(rows),
            TRAINING: (json.dumps(training, indent=1) + "\n").encode(),
        }
        self.model.save(folder, extra_files=files)


def _unfinished(out: Path) -> Path:
    return out.with_name(f"{out.name}.unfinished")
