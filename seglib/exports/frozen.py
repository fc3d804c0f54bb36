"""The network as one graph of plain operations, for the formats that convert it."""

from typing import Any

from seglib.models.model import SegmentationModel

INPUT, OUTPUT = "images", "logits"


def frozen_network(model: SegmentationModel, *, batch: int | None) -> Any:
    """The network at its own size as a TensorFlow function without variables.

    Args:
        batch: images at once; None: any number.

    Returns:
        A concrete function of images float32 (N, H, W, C), 0 … 255, at the network's
        size, which normalises them; it gives logits float32 (N, H, W, num_classes).
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    contract = model.contract
    shape = (batch, *contract.image_size, contract.channels)

    @tf.function(
        input_signature=[tf.TensorSpec(shape, tf.float32, INPUT)], autograph=False
    )
    def logits(images: Any) -> Any:
        return {OUTPUT: model.network(images, training=False)}

    return convert_variables_to_constants_v2(logits.get_concrete_function())
