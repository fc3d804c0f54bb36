"""SavedModel, for TensorFlow Serving and KServe."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from seglib.models.model import SegmentationModel


def write_saved_model(model: SegmentationModel, path: Path) -> None:
    """Write a TensorFlow SavedModel that resizes and normalises by itself.

    Its signatures take images uint8 (N, H, W, C) of any size:

    - `serve`, the default one: class ids uint8 or uint16 (N, H, W);
    - `logits`: float32 (N, H, W, num_classes);
    - `predict`: `class_ids` and `probabilities`, float32 (N, H, W, num_classes);
    - `encoded`: class ids of one PNG or JPEG file, its bytes a string (1,); for a
      network of one input of 1, 3 or 4 channels. EXIF orientation is not applied.
    """
    import tensorflow as tf

    contract = model.contract
    mask_dtype = contract.mask_dtype.name

    def logits(images: Any) -> Any:
        return model.served(images, training=False)

    def ids(values: Any) -> Any:
        return keras.ops.cast(keras.ops.argmax(values, axis=-1), mask_dtype)

    def serve(images: Any) -> Any:
        return ids(logits(images))

    def predict(images: Any) -> dict[str, Any]:
        values = logits(images)
        return {"class_ids": ids(values), "probabilities": keras.ops.softmax(values)}

    def encoded(files: Any) -> Any:
        return serve(_decoded(tf.reshape(files, []), contract.channels)[None])

    images = tf.TensorSpec((None, None, None, contract.channels), tf.uint8, "images")
    # A graph that has not run yet, as in a model just loaded, has no variables.
    model.predict_logits(random_image(0, contract.image_size, contract.channels))
    # Keras's own ExportArchive writes every weight twice.
    module = tf.Module()
    module.weights = [variable.value for variable in model.served.variables]
    module.serve = tf.function(serve, input_signature=[images])
    module.logits = tf.function(logits, input_signature=[images])
    module.predict = tf.function(predict, input_signature=[images])
    names = ["serve", "logits", "predict"]
    if len(contract.inputs) == 1 and contract.channels in (1, 3, 4):
        files = tf.TensorSpec((1,), tf.string, "files")
        module.encoded = tf.function(encoded, input_signature=[files])
        names.append("encoded")
    signatures = {name: getattr(module, name) for name in names}
    tf.saved_model.save(
        module, str(path), {"serving_default": module.serve, **signatures}
    )


def _decoded(file: Any, channels: int) -> Any:
    """The pixels of a PNG or JPEG file, as OpenCV decodes them: uint8 (H, W, C)."""
    import tensorflow as tf

    return tf.cond(
        tf.io.is_jpeg(file),
        lambda: tf.io.decode_jpeg(
            file, channels if channels < 4 else 3, dct_method="INTEGER_ACCURATE"
        ),
        lambda: tf.io.decode_png(file, channels),
    )


def open_saved_model(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The function `logits` of a SavedModel: images uint8, any size → float32."""
    import tensorflow as tf

    served = tf.saved_model.load(str(path))
    return lambda images: np.asarray(served.logits(images.astype(np.uint8)))


def random_image(seed: int, size: tuple[int, int], channels: int) -> np.ndarray:
    """Smooth random patches, uint8 (H, W, C): every class gets a chance."""
    import cv2

    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, channels), np.uint8)
    image = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
    noise = rng.integers(-12, 13, (*size, channels))
    return np.clip(image.reshape(*size, channels) + noise, 0, 255).astype(np.uint8)
