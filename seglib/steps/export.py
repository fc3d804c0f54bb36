"""Export to a SavedModel, proven to answer like the Keras model."""

import hashlib
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from seglib.config import ExportConfig
from seglib.errors import SegError
from seglib.models.model import SegmentationModel, load_model
from seglib.storage.atomic_write import whole_folder

FORMATS = ("saved_model",)
COMPARISON, CHECKSUMS, CONTRACT = "comparison.json", "SHA256SUMS", "contract.json"


def export(
    model: SegmentationModel | str | Path,
    out: Path,
    *,
    config: ExportConfig | None = None,
) -> dict[str, Any]:
    """Write the model as it is served, and compare the two on the same images.

    `out/saved_model` answers `serve(images uint8 (N, H, W, C))`, any size, with class
    ids uint8 or uint16 (N, H, W); and `logits(images)` with float32 (N, H, W, classes).
    Beside it: contract.json, comparison.json and SHA256SUMS. Resizing and
    normalisation are inside.

    Returns:
        The comparison: largest logit difference, share of equal pixels, images.

    Raises:
        SegError: the export differs by more than the config allows, or `out` cannot
            be written; whatever was at `out` stays as it was.
    """
    config = config or ExportConfig()
    if not isinstance(model, SegmentationModel):
        model = load_model(model)
    with whole_folder(out, what="export", marker=CHECKSUMS) as beside:
        _write_saved_model(model, beside / "saved_model")
        comparison = compare(model, beside / "saved_model")
        _check(comparison, config)
        (beside / CONTRACT).write_text(model.contract.to_json(), encoding="utf-8")
        (beside / COMPARISON).write_text(json.dumps(comparison, indent=2) + "\n")
        (beside / CHECKSUMS).write_text(_checksums(beside))
    return comparison


def compare(model: SegmentationModel, saved_model: Path) -> dict[str, Any]:
    """Run the model and its SavedModel on the same images of several sizes."""
    import tensorflow as tf

    served = tf.saved_model.load(str(saved_model))
    difference, equal, pixels = 0.0, 0, 0
    sizes = _sizes(model.contract.image_size)
    for seed, size in enumerate(sizes):
        image = _image(seed, size, model.contract.channels)
        expected = model.predict_logits(image)
        logits = np.asarray(served.logits(image[None]))[0]
        mask = np.asarray(served.serve(image[None]))[0]
        difference = max(difference, float(np.abs(logits - expected).max()))
        equal += int(np.count_nonzero(mask == expected.argmax(-1)))
        pixels += mask.size
    return {
        "format": "saved_model",
        "images": [list(size) for size in sizes],
        "max_logit_difference": difference,
        "equal_pixels": equal / pixels,
    }


def _write_saved_model(model: SegmentationModel, path: Path) -> None:
    import tensorflow as tf

    images = tf.TensorSpec(
        (None, None, None, model.contract.channels), tf.uint8, "images"
    )
    mask_dtype = np.dtype(model.mask_dtype).name

    def logits(images: Any) -> Any:
        return model.served(images, training=False)

    def serve(images: Any) -> Any:
        return keras.ops.cast(keras.ops.argmax(logits(images), axis=-1), mask_dtype)

    # A graph that has not run yet, as in a model just loaded, has no variables.
    model.predict_logits(_image(0, model.contract.image_size, model.contract.channels))
    # Keras's own ExportArchive writes every weight twice.
    module = tf.Module()
    module.weights = [variable.value for variable in model.served.variables]
    module.serve = tf.function(serve, input_signature=[images])
    module.logits = tf.function(logits, input_signature=[images])
    signatures = {"serve": module.serve, "logits": module.logits}
    tf.saved_model.save(
        module, str(path), {"serving_default": module.serve, **signatures}
    )


def _sizes(image_size: tuple[int, int]) -> list[tuple[int, int]]:
    """The network's own size, twice it, and an odd one."""
    height, width = image_size
    return [(height, width), (2 * height, 2 * width), (height + 13, width - 7)]


def _image(seed: int, size: tuple[int, int], channels: int) -> np.ndarray:
    """Smooth random patches: every class and its borders get a chance."""
    import cv2

    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, channels), np.uint8)
    image = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
    noise = rng.integers(-12, 13, (*size, channels))
    return np.clip(image.reshape(*size, channels) + noise, 0, 255).astype(np.uint8)


def _check(comparison: dict[str, Any], config: ExportConfig) -> None:
    difference, equal = comparison["max_logit_difference"], comparison["equal_pixels"]
    if difference > config.max_logit_difference or equal < config.min_equal_pixels:
        raise SegError(
            "The SavedModel does not answer like the Keras model. Expected: logits "
            f"within {config.max_logit_difference:g}, {config.min_equal_pixels:.2%} "
            f"equal pixels. Received: {difference:.2g}, {equal:.2%}. Nothing was "
            "written."
        )


def _checksums(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n"
        for path in files
    )
