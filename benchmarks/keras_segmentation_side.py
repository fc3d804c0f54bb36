"""Trains one model of keras_segmentation and writes its predictions.

With `--rounds`, it is not trained: its `predict_multiple` is timed.

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

    model = model_from_name[options.model](
        options.classes, input_height=options.height, input_width=options.width
    )
    if options.rounds:
        print(json.dumps(_time_prediction(model, options)))
        return
    clock = Clock(60 * options.minutes)
    fit = model.fit_generator
    model.fit_generator = lambda *given, callbacks, **named: fit(
        *given, callbacks=[*callbacks, clock], **named
    )
    model.train(
        train_images=str(options.data / "train_images"),
        train_annotations=str(options.data / "train_segmentation"),
        epochs=1,
        steps_per_epoch=1_000_000,  # the clock stops it
        batch_size=options.batch_size,
        optimizer_name="adam",
        verify_dataset=False,
    )
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
                "minutes": (clock.marks[-1] - clock.started) / 60,
                "steps": len(clock.marks),
                "seconds_a_step": clock.seconds_a_step,
                "parameters": model.count_params(),
            }
        )
    )


def _time_prediction(model, options: argparse.Namespace) -> dict[str, float]:
    """Seconds and CPU seconds an image, each the least of the rounds."""
    from keras_segmentation.predict import predict_multiple

    images = [str(path) for path in sorted(options.data.iterdir())]
    predict_multiple(model, inps=images[:2], out_dir=str(options.out))  # compiles
    rounds = []
    for _ in range(options.rounds):
        started, cpu = time.perf_counter(), time.process_time()
        predict_multiple(model, inps=images, out_dir=str(options.out))
        wall = (time.perf_counter() - started) / len(images)
        rounds.append((wall, (time.process_time() - cpu) / len(images)))
    wall, cpu = (min(values) for values in zip(*rounds, strict=True))
    return {"wall": wall, "cpu": cpu, "parameters": model.count_params()}


class Clock(keras.callbacks.Callback):
    """Stops training when its time is over; compiling counts."""

    def __init__(self, seconds: float):
        super().__init__()
        self.started = time.monotonic()
        self.marks: list[float] = []
        self._deadline = self.started + seconds

    def on_train_batch_end(self, batch, logs=None):
        self.marks.append(time.monotonic())
        if self.marks[-1] >= self._deadline:
            self.model.stop_training = True

    @property
    def seconds_a_step(self) -> float:
        """Of the second half."""
        half = len(self.marks) // 2
        return (self.marks[-1] - self.marks[half]) / (len(self.marks) - 1 - half)


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
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
