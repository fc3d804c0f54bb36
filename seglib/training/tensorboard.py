"""The history of a training as TensorBoard reads it."""

import math
from collections.abc import Callable
from pathlib import Path

from seglib.training.state import Row

_SCALARS = "scalars"  # TensorBoard's plugin
_DATA_CLASS_SCALAR = 1  # of tensorflow/core/framework/summary.proto


def tensorboard_writer(folder: Path) -> Callable[[Row], None]:
    """Write each row of a history to an event file in a folder, as it is called.

    (`tf.summary.scalar` wants TensorBoard installed; the format is TensorFlow's own.)
    """
    import tensorflow as tf

    writer = tf.summary.create_file_writer(str(folder))
    metadata = tf.compat.v1.SummaryMetadata(data_class=_DATA_CLASS_SCALAR)
    metadata.plugin_data.plugin_name = _SCALARS

    def write(row: Row) -> None:
        with writer.as_default(step=int(row["epoch"])):
            for name, value in row.items():
                if name != "epoch" and not math.isnan(value):
                    tensor = tf.constant(value, tf.float32)
                    tf.summary.write(name, tensor, metadata=metadata)
        writer.flush()

    return write
