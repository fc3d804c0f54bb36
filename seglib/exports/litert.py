"""LiteRT (once TensorFlow Lite), for phones, microcontrollers and small servers."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from seglib.exports.frozen import frozen_network
from seglib.models.model import SegmentationModel
from seglib.noise import filtered_stderr

FLOAT, HALF, INTEGER = "litert", "litert_fp16", "litert_int8"


def write_litert(
    model: SegmentationModel, path: Path, kind: str, examples: np.ndarray | None
) -> None:
    """Write the network for one image at a time: images (1, H, W, C) → logits.

    Args:
        kind: `litert` in float32; `litert_fp16` with weights of 16 bits; `litert_int8`
            computes in integers, whose ranges are those seen in the examples.
        examples: float32 (N, H, W, C), 0 … 255, at the network's size; only for
            `litert_int8`.

    Reference: Jacob et al. 2018, "Quantization and Training of Neural Networks for
    Efficient Integer-Arithmetic-Only Inference", arXiv:1712.05877.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [frozen_network(model, batch=1)]
    )
    if kind != FLOAT:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == HALF:
        converter.target_spec.supported_types = [tf.float16]
    if kind == INTEGER:
        seen: Iterable[np.ndarray] = [] if examples is None else examples
        converter.representative_dataset = lambda: ([image[None]] for image in seen)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.int8
    with filtered_stderr():
        path.write_bytes(converter.convert())


def open_litert(path: Path, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """The function of a LiteRT file: images float32 (N, H, W, C) → logits float32."""
    from ai_edge_litert.interpreter import Interpreter

    with filtered_stderr():
        interpreter = Interpreter(model_path=str(path), num_threads=threads)
        interpreter.allocate_tensors()
    (given,), (made,) = (
        interpreter.get_input_details(),
        interpreter.get_output_details(),
    )

    def run(image: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(given["index"], _quantised(image, given))
        interpreter.invoke()
        logits = interpreter.get_tensor(made["index"])
        scale, zero = made["quantization"]
        return (
            np.float32(scale) * (logits.astype(np.float32) - zero) if scale else logits
        )

    return lambda images: np.concatenate([run(image[None]) for image in images])


def _quantised(image: np.ndarray, given: dict[str, Any]) -> np.ndarray:
    scale, zero = given["quantization"]
    if not scale:
        return image
    limits = np.iinfo(given["dtype"])
    levels = np.rint(image / scale + zero)
    return np.clip(levels, limits.min, limits.max).astype(given["dtype"])
