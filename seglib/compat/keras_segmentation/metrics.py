"""Scores of one mask."""

import numpy as np

from seglib.evaluation.metrics import Scores, confusion_matrix


def get_iou(gt: np.ndarray, pr: np.ndarray, n_classes: int) -> np.ndarray:
    """IoU float64 (n_classes,) of ids; NaN for a class that is in neither."""
    return Scores(confusion_matrix(gt, pr, num_classes=n_classes)).class_iou
