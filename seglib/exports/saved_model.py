"""SavedModel, for TensorFlow Serving, and its comparison with the Keras model."""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from seglib.models.model import SegmentationModel


def write_saved_model(model: SegmentationModel, path: Path) -> None:
    """Write a TensorFlow SavedModel that resizes and normalises by itself.

    Its signatures: `serve(images uint8 (N, H, W, C))`, any size, gives class ids uint8
    or uint16 (N, H, W); `logits(images)` gives float32 (N, H, W, num_classes).
    """
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


def compare_saved_model(model: SegmentationModel, saved_model: Path) -> dict[str, Any]:
    """Run a model and its SavedModel on the same random images of three sizes.

    Returns:
        `format`; `images`, their (height, width); `max_logit_difference`, absolute;
        `equal_pixels`, the share of pixels with the same class.
    """
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
