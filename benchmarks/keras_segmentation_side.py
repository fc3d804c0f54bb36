"""Trains one model of keras_segmentation and writes its predictions.

Runs in that library's own environment (see against_keras_segmentation.py), with its
own functions and its defaults but for the optimizer, where its later default, Adam,
is far better than the released one, Adadelta.
"""

import argparse
import json
import sys
import time
import types
from pathlib import Path

import cv2
import keras
import numpy as np


def main() -> None:
    options = _options()
    _stand_in_for_moved_modules()
    from keras_segmentation.models.all_models import model_from_name

    def build():
        return model_from_name[options.model](
            options.classes, input_height=options.height, input_width=options.width
        )

    def train(model, steps):
        model.train(
            train_images=str(options.data / "train_images"),
            train_annotations=str(options.data / "train_segmentation"),
            epochs=1,
            steps_per_epoch=steps,
            batch_size=options.batch_size,
            optimizer_name="adam",
            verify_dataset=False,
            checkpoints_path=str(options.out / "checkpoint"),
        )

    trial = build()
    train(trial, 5)  # fills the file system's cache
    durations = []
    for steps in (5, 25):  # each compiles anew; the difference is twenty steps
        started = time.monotonic()
        train(trial, steps)
        durations.append(time.monotonic() - started)
    step = (durations[1] - durations[0]) / 20
    start_up = durations[0] - 5 * step
    steps = max(1, round((60 * options.minutes - start_up) / step))
    model = build()
    started = time.monotonic()
    train(model, steps)
    minutes = (time.monotonic() - started) / 60
    for path in sorted((options.data / "val_images").iterdir()):
        image = cv2.imread(str(path))
        ids = model.predict_segmentation(inp=image)
        ids = cv2.resize(
            np.asarray(ids, np.uint8),
            (image.shape[1], image.shape[0]),
            interpolation=cv2.INTER_NEAREST,
        )
        cv2.imwrite(str(options.out / f"{path.stem}.png"), ids)
    print(
        json.dumps(
            {
                "minutes": minutes,
                "steps": steps,
                "seconds_a_step": step,
                "parameters": model.count_params(),
            }
        )
    )


def _stand_in_for_moved_modules() -> None:
    """Keras has moved one module since the library's last release."""
    merge = types.ModuleType("keras.layers.merge")
    merge.Concatenate, merge.Add = keras.layers.Concatenate, keras.layers.Add
    sys.modules["keras.layers.merge"] = merge


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--classes", type=int, required=True)
    parser.add_argument("--height", type=int, required=True)
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--minutes", type=float, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
