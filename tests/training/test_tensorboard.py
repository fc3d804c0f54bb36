import math

import tensorflow as tf

from seglib.training.tensorboard import tensorboard_writer


def test_an_event_file_holds_each_value_at_its_epoch(tmp_path):
    write = tensorboard_writer(tmp_path / "logs")
    write({"epoch": 1, "loss": 0.5, "val_miou": math.nan})
    write({"epoch": 2, "loss": 0.25, "val_miou": 0.75})
    (file,) = (tmp_path / "logs").iterdir()
    found = [
        (event.step, value.tag, tf.make_ndarray(value.tensor).item())
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
    ]
    assert found == [(1, "loss", 0.5), (2, "loss", 0.25), (2, "val_miou", 0.75)]
