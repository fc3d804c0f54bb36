"""Weights from ImageNet, from a file or from another model."""

import hashlib
import logging
import os
import re
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import cast

import keras
import numpy as np

from seglib.data.pairs import IMAGE, Inputs
from seglib.errors import SegError, UsageError
from seglib.models.contract import CONTRACT, read_contract
from seglib.models.encoders import ENCODERS, mix_transformer
from seglib.models.encoders.encoder import Normalization
from seglib.models.encoders.keras_hub import OWN
from seglib.models.model import SegmentationModel, load_model
from seglib.models.segformer_weights import DATASETS, read_segformer
from seglib.models.transfer import Transfer, describe, transfer_weights
from seglib.storage.files import model_digest, read_file

logger = logging.getLogger(__name__)

_ELSEWHERE = re.compile("s3://|models:/")
_HDF5 = b"\x89HDF\r\n\x1a\n"


def normalization_of(
    encoder: str, weights: str | PathLike[str] | None, inputs: Inputs
) -> Normalization:
    """The normalisation that belongs to an encoder and to the weights it gets.

    Presets of keras-hub and models of ours state it; it is the encoder's otherwise.

    Raises:
        UsageError: the weights are on another machine.
        SegError: their normalisation cannot be read.
    """
    known, total = ENCODERS[encoder], sum(inputs.values())
    if isinstance(weights, str) and _ELSEWHERE.match(weights):
        raise UsageError(
            f"`weights` is read from this machine. Received: {weights}. Give "
            f"weights=seglib.fetch_weights({weights!r})."
        )
    if weights and is_model(weights):
        other = read_contract(Path(weights))
        if other.encoder == encoder and other.inputs == inputs:
            return Normalization(other.mean, other.scale, other.channel_order)  # type: ignore[arg-type]
    elif weights and known.pixels:
        return known.pixels(os.fspath(weights)).for_channels(inputs[IMAGE], total)
    return known.normalization.for_channels(inputs[IMAGE], total)


def load_weights(
    model: SegmentationModel,
    weights: str | PathLike[str],
    *,
    sha256: str | None = None,
) -> str:
    """Load trained weights into a model.

    Args:
        weights: "imagenet" for the encoder's own; a model's folder, of which every
            weight that fits is taken; "ade20k" or "cityscapes" for SegFormer; or a
            file or a preset's folder, as the encoder takes it (docs/models.md).
            To inputs beyond the RGB that the weights know the encoder is blind, until
            training teaches it.
        sha256: hexadecimal digest that the file must have; of a model, the digest over
            network and contract.

    Returns:
        That digest; empty for weights that a library brings.

    Raises:
        UsageError: there are no such weights, or they do not fit.
        SegError: they cannot be read, or are not the ones expected.
    """
    encoder = model.contract.encoder
    if is_model(weights):
        digest = model_digest(Path(weights))
        _check_digest(Path(weights), digest, sha256)
        transfer_weights(load_model(Path(weights)), model)
        return digest
    is_segformer = encoder in mix_transformer.VARIANTS
    if not is_segformer and ENCODERS[encoder].load is None:
        having = ", ".join(name for name, e in ENCODERS.items() if e.load)
        raise UsageError(
            f"The encoder `{encoder}` has no ImageNet weights. These have: {having}."
        )
    _require_colours(model)
    digest, source = "", "imagenet" if weights in OWN else str(weights)
    if weights not in (DATASETS if is_segformer else OWN):
        digest = _check_file(Path(weights), encoder, sha256)
        source = os.fspath(weights)
    load_source = _load_segformer if is_segformer else _load_encoder
    load_source(model, source)
    return digest


def is_model(weights: str | PathLike[str]) -> bool:
    """Whether it is the folder of a model of ours."""
    return (Path(weights) / CONTRACT).is_file()


def _load_encoder(model: SegmentationModel, weights: str | Path) -> None:
    encoder, inputs = model.contract.encoder, model.contract.inputs
    load = cast(Callable[[keras.Model, str | Path], None], ENCODERS[encoder].load)
    target = model.network.get_layer("encoder")
    if sum(inputs.values()) == 3:
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


def _load_segformer(model: SegmentationModel, source: str | Path) -> None:
    """Copy the published arrays into the layers of their names."""
    arrays = read_segformer(model.contract.encoder, source)
    copied, left, wrong = [], [], []
    decodes = model.contract.architecture in ("segformer", "segformer_wide")
    encoder = {layer.name: layer for layer in model.network.get_layer("encoder").layers}
    decoder = {layer.name: layer for layer in model.network.layers if decodes}
    for layer in (*encoder.values(), *decoder.values()):
        mine = [tuple(weight.shape) for weight in layer.weights]
        if not mine or layer.name == "encoder":
            continue
        given = arrays.get(layer.name, [])
        if len(given) == len(mine):
            given = [
                _widened(x, y, is_bgr=False) for x, y in zip(given, mine, strict=True)
            ]
        received = [array.shape for array in given]
        paths = [weight.path for weight in layer.weights]
        if received == mine:
            layer.set_weights(given)
            copied += paths
        elif layer.name == "head" or (not given and layer.name in decoder):
            left += paths
        else:
            wrong.append(
                f"{layer.name}: expected {mine}, received {received or 'none'}"
            )
    if wrong:
        raise UsageError(
            f"{source}: these weights do not fit {describe(model)}; {len(wrong)} of "
            f"its layers differ. {wrong[0]}. Take the encoder that they were trained "
            "on; SegFormer-B0 and B1 are `segformer`, B2 … B5 `segformer_wide`."
        )
    logger.info("weights of %s: %s", source, Transfer(tuple(copied), tuple(left)))


def _require_colours(model: SegmentationModel) -> None:
    channels = model.contract.inputs[IMAGE]
    if channels < 3:
        raise UsageError(
            "Pretrained weights expect an image of 3 channels (RGB). Received: "
            f"channels={channels}. Leave `weights` out, or build the model with "
            "channels=3: grey files are then read as RGB."
        )


def _widened(kernel: np.ndarray, shape: tuple[int, ...], *, is_bgr: bool) -> np.ndarray:
    """A kernel (h, w, 3, filters) for more channels: zero for all beyond RGB."""
    h, w, channels, filters = shape if len(shape) == 4 else (0, 0, 0, 0)
    if kernel.shape != (h, w, 3, filters) or channels <= 3:
        return kernel
    wide = np.zeros(shape, kernel.dtype)
    wide[:, :, :3] = kernel[:, :, ::-1] if is_bgr else kernel
    return wide


def _check_file(path: Path, encoder: str, sha256: str | None) -> str:
    """Check a file's digest and kind; return the digest, "" for a preset's folder."""
    if path.is_dir() and (
        ENCODERS[encoder].extra or encoder in mix_transformer.VARIANTS
    ):
        if sha256:
            raise UsageError(
                f"{path}: `weights_sha256` is of a file, or of a model's folder. "
                "Received: the folder of a preset. Leave it out."
            )
        return ""
    try:
        content = read_file(path)
    except OSError as error:
        raise UsageError(
            f"Unknown weights: `{path}` ({error.strerror}). Expected: "
            f"{_expected(encoder)}."
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    _check_digest(path, digest, sha256)
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
    return digest


def _expected(encoder: str) -> str:
    own = "`imagenet`, a file of weights"
    if encoder in mix_transformer.VARIANTS:
        own = "`ade20k`, `cityscapes`, a state dict of the transformers library"
    elif ENCODERS[encoder].extra:
        own = "`pretrained`, the folder of a preset"
    return f"{own}, a model's folder, s3://bucket/path or models:/name@alias"


def _check_digest(path: Path, received: str, expected: str | None) -> None:
    if expected and received != expected.lower():
        raise SegError(
            f"{path}: not the weights that `weights_sha256` names. Expected: "
            f"{expected}. Received: {received}. Bring the file again."
        )
