"""Networks of one's own, and weights from one model to another."""

from typing import Any

from seglib.compat.keras_segmentation.models.model import KerasSegmentationModel
from seglib.models import transfer
from seglib.models.build import build_custom
from seglib.models.model import SegmentationModel


def get_segmentation_model(
    input: Any,  # noqa: A002 # its name there
    output: Any,
) -> KerasSegmentationModel:
    """A model of one's own Keras layers; see `seglib.build_custom`.

    Args:
        input: `keras.Input` of an image, or a list of several.
        output: logits (N, h, w, n_classes), without softmax.
    """
    return KerasSegmentationModel.of(build_custom(input, output))


def transfer_weights(
    m1: SegmentationModel, m2: SegmentationModel, verbose: bool = True
) -> transfer.Transfer:
    """Copy every weight of `m1` that fits into `m2`; see `seglib.transfer_weights`.

    Args:
        verbose: without effect: what was copied is logged, and returned.
    """
    return transfer.transfer_weights(m1, m2)
