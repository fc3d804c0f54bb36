"""Weights from one model to another, by name and shape."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seglib.arguments import checked
from seglib.errors import UsageError
from seglib.models.model import SegmentationModel, opened_model

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Transfer:
    """The outcome of `transfer_weights`, by the paths of the weights."""

    copied: tuple[str, ...]
    left: tuple[str, ...]  # of the target, without a counterpart of their shape

    def __str__(self) -> str:
        count = len(self.copied) + len(self.left)
        text = f"{len(self.copied)} of {count} tensors loaded"
        if self.left:
            some = ", ".join(self.left[:4]) + (" …" if len(self.left) > 4 else "")
            text += f"; not loaded, because they differ or are missing: {some}"
        return text


@checked
def transfer_weights(
    source: SegmentationModel | str | Path, target: SegmentationModel
) -> Transfer:
    """Copy every weight that both models have, by name and shape, into `target`.

    What differs, such as the head of a model of other classes, keeps its values.

    Args:
        source: a model, or the folder of one.
        target: is changed in place.

    Raises:
        UsageError: the two have nothing in common.
    """
    source = opened_model(source)
    given = {weight.path: weight for weight in source.network.weights}
    copied, left = [], []
    for weight in target.network.weights:
        other = given.get(weight.path)
        if other is not None and tuple(other.shape) == tuple(weight.shape):
            weight.assign(np.asarray(other))
            copied.append(weight.path)
        else:
            left.append(weight.path)
    if not copied:
        raise UsageError(
            "The models share no weights. Expected: two of the same encoder or "
            f"architecture. Received: {describe(source)} and {describe(target)}."
        )
    done = Transfer(tuple(copied), tuple(left))
    logger.info("weights of %s: %s", describe(source), done)
    return done


def describe(model: SegmentationModel) -> str:
    return f"{model.contract.architecture} on {model.contract.encoder}"
