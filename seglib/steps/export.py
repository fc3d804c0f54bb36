"""Export a model to the forms in which it is served, compared with the Keras model."""

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from seglib.arguments import checked
from seglib.config import ExportConfig
from seglib.data.dataset import Dataset
from seglib.data.pairs import Pair, spread
from seglib.data.verification.loading import opened
from seglib.errors import SegError, UsageError
from seglib.exports import litert, onnx_model, saved_model
from seglib.exports.card import model_card
from seglib.exports.comparing import compare, read_examples
from seglib.exports.exported import FORMATS, ONNX, SAVED_MODEL, require_packages
from seglib.exports.resizing import shrink
from seglib.models.model import SegmentationModel, opened_model
from seglib.storage.atomic_write import whole_folder

COMPARISON, CHECKSUMS, CONTRACT = "comparison.json", "SHA256SUMS", "contract.json"
CARD = "README.md"


@checked
def export(
    model: SegmentationModel | str | Path,
    out: str | Path,
    *,
    config: ExportConfig | None = None,
    data: Dataset | str | Path | None = None,
) -> dict[str, Any]:
    """Write the model as it is served, and compare each form with it on images.

    `out/saved_model` answers `serve(images uint8 (N, H, W, C))`, any size, with class
    ids uint8 or uint16 (N, H, W); see `write_saved_model` for its other signatures.
    `model.onnx` and the `.tflite` files give logits float32 of images float32 in
    0 … 255 at the network's size; `ExportedModel` opens them and resizes around them.
    Beside them: contract.json, comparison.json, README.md (the model card) and
    SHA256SUMS. Normalisation is inside.

    Args:
        data: a dataset, or its folder, whose val split the forms are compared on, and
            whose train split shows `litert_int8` the ranges of its values. Default:
            random pictures.

    Returns:
        What comparison.json has: `images`, the sizes compared on; `source`, where they
        come from; `formats`, as `compare` gives them.

    Raises:
        UsageError: an unknown format, or one whose packages or data are missing.
        SegError: a form differs by more than the config allows, or `out` cannot be
            written; whatever was at `out` stays as it was.
    """
    config = config or ExportConfig()
    names = list(
        dict.fromkeys(name.strip() for name in config.export_formats.split(","))
    )
    require_packages(names)
    model = opened_model(model)
    data = None if data is None else opened(data, splits=("train", "val"))
    if litert.INTEGER in names and data is None:
        raise UsageError(
            f"The format `{litert.INTEGER}` is calibrated on a dataset: give it one, "
            "`seglib export --data DATA`, or leave the format out."
        )
    if data:
        data.check_inputs(model.contract.inputs)
    split = "val" if data and data.splits.get("val") else "train"
    pairs = spread(data.pairs(split), config.export_examples) if data else []
    with whole_folder(Path(out), what="export", marker=CHECKSUMS) as beside:
        (beside / CONTRACT).write_text(model.contract.to_json(), encoding="utf-8")
        seen = None
        if data and litert.INTEGER in names:
            seen = _calibration(model, data, config.export_examples)
        for name in names:
            write_format(model, name, beside / FORMATS[name].file, seen)
        comparison: dict[str, Any] = {
            "source": f"{data.root.name}, {split}" if data else "random pictures",
            **compare(model, beside, names, read_examples(pairs, model)),
        }
        for name in names:
            _check(name, comparison["formats"], config)
        (beside / COMPARISON).write_text(json.dumps(comparison, indent=2) + "\n")
        card = model_card(model.contract, comparison)
        (beside / CARD).write_text(card, encoding="utf-8")
        (beside / CHECKSUMS).write_text(_checksums(beside))
    return comparison


def write_format(
    model: SegmentationModel, name: str, path: Path, examples: np.ndarray | None
) -> None:
    """Write one format; see `export`.

    Args:
        examples: float32 (N, H, W, C) at the network's size, for `litert_int8`.

    Raises:
        SegError: its converter does not know the network's operations.
    """
    try:
        with _quiet():
            if name == SAVED_MODEL:
                saved_model.write_saved_model(model, path)
            elif name == ONNX:
                onnx_model.write_onnx(model, path)
            else:
                litert.write_litert(model, path, name, examples)
    except (SegError, OSError, MemoryError):
        raise
    except Exception as error:  # whatever a converter makes of an operation
        reason = " ".join(str(error).split())[-300:]
        raise SegError(
            f"`{model.contract.architecture}` on `{model.contract.encoder}` cannot be "
            f"written as {name}: {reason or type(error).__name__}. Nothing was written;"
            " docs/models.md says which format each network has."
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the converters tell about TensorFlow's own older functions."""
    loggers = [logging.getLogger(name) for name in ("tensorflow", "absl", "tf2onnx")]
    levels = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings(action="ignore"):
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _calibration(model: SegmentationModel, data: Dataset, count: int) -> np.ndarray:
    """Images of train at the network's size: float32 (N, H, W, C)."""
    pairs: Sequence[Pair] = spread(data.pairs("train"), count)
    size = model.contract.image_size
    images = [example.image for example in read_examples(pairs, model)]
    return np.concatenate([shrink(image[None], size) for image in images])


def _check(name: str, table: dict[str, dict[str, Any]], config: ExportConfig) -> None:
    found, keras = table[name], table["keras"]
    if not FORMATS[name].is_rounded:
        difference, equal = found["max_logit_difference"], found["equal_pixels"]
        if difference <= config.max_logit_difference and (
            equal >= config.min_equal_pixels
        ):
            return
        expected = (
            f"logits within {config.max_logit_difference:g}, "
            f"{config.min_equal_pixels:.2%} equal pixels"
        )
        received = f"{difference:.2g}, {equal:.2%}"
    elif found["miou"] is not None:
        if found["miou"] >= keras["miou"] - config.max_miou_loss:
            return
        expected = f"mIoU {keras['miou']:.4f}, and at most {config.max_miou_loss} less"
        received = f"{found['miou']:.4f}"
    else:
        if found["equal_pixels"] >= 1 - config.max_miou_loss:
            return
        expected = f"{1 - config.max_miou_loss:.2%} equal pixels"
        received = f"{found['equal_pixels']:.2%}"
    raise SegError(
        f"The export `{name}` does not answer like the Keras model. Expected: "
        f"{expected}. Received: {received}. Nothing was written. Leave the format out, "
        "or allow more in the section `export` of the configuration."
    )


def _checksums(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n"
        for path in files
    )
