"""Times `evaluate_segmentation` of keras_segmentation, in that library's environment.

Run by evaluate.py; prints one JSON object.
"""

import argparse
import json
import sys
import time
import types
from pathlib import Path

import keras
import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--classes", type=int, required=True)
    parser.add_argument("--height", type=int, required=True)
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--images", type=int, required=True)
    options = parser.parse_args()
    merge = types.ModuleType("keras.layers.merge")  # moved since the last release
    merge.Concatenate, merge.Add = keras.layers.Concatenate, keras.layers.Add
    sys.modules["keras.layers.merge"] = merge
    from keras_segmentation.models.all_models import model_from_name
    from keras_segmentation.predict import evaluate

    model = model_from_name[options.model](
        options.classes, input_height=options.height, input_width=options.width
    )
    images, masks = (
        [str(path) for path in sorted((options.data / f"val_{part}").iterdir())]
        for part in ("images", "segmentation")
    )
    evaluate(model, images[:1], masks[:1])  # compiles
    count = options.images
    wall, cpu = time.perf_counter(), time.process_time()
    evaluate(model, images[:count], masks[:count])
    timed = (time.perf_counter() - wall, time.process_time() - cpu)
    batch = np.zeros((1, options.height, options.width, 3), np.float32)
    model.predict_on_batch(batch)
    cpu = time.process_time()
    for _ in range(5):
        model.predict_on_batch(batch)
    network = (time.process_time() - cpu) / 5
    found = {"wall": timed[0] / count, "cpu": timed[1] / count, "network": network}
    print(json.dumps({**found, "parameters": model.count_params()}))


if __name__ == "__main__":
    main()
