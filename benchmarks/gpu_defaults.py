"""Whether training works here with its defaults: the trial, the loader, some steps.

    python -m benchmarks.gpu_defaults [--architecture NAME] [--height 360 --width 480]

Trains on painted scenes with the default settings, as if for long, so that every number
format is tried, with and without XLA where there is a GPU. The log is the table of the
trial, and names a candidate that fails. The training is broken off after `--steps`
steps. Then come the loader's images/s by its number of threads. On one H200 all of it
should take less than 3 minutes; on a CPU choose a small size.
"""

import argparse
import contextlib
import itertools
import logging
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", default="compact")
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--width", type=int, default=480)
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    logging.getLogger("seglib").setLevel(logging.INFO)
    from seglib.data.verification.loading import load_dataset
    from tools.sample_scenes import write_sample_dataset

    size = (options.height, options.width)
    with tempfile.TemporaryDirectory() as folder:
        counts = {"train": 32, "val": 2, "test": 0}
        write_sample_dataset(Path(folder), counts=counts)
        data = load_dataset(Path(folder))
        step_ms = train_briefly(data, options.architecture, size, options.steps)
        print(f"then {step_ms:.1f} ms a step, with loading")
        load(data, size)


def train_briefly(
    data: Any, architecture: str, size: tuple[int, int], steps: int
) -> float:
    """The median step, in ms, of a training that plans a million of them."""
    from seglib.config import TrainConfig
    from seglib.models import build_model
    from seglib.steps.train import train

    model = build_model(
        architecture,
        num_classes=data.num_classes,
        image_size=size,
        ignore_index=data.ignore_index,
    )
    ended: list[float] = []

    def on_step(done: int, _total: int) -> None:
        ended.append(time.perf_counter())
        if done == steps:
            raise KeyboardInterrupt

    config = TrainConfig(steps_per_epoch=1000, epochs=1000)
    with contextlib.suppress(KeyboardInterrupt):
        train(model, data, config=config, on_step=on_step)
    return 1000 * statistics.median(b - a for a, b in itertools.pairwise(ended))


def load(data: Any, size: tuple[int, int]) -> None:
    """Print images/s of the loader, by its number of threads."""
    from seglib.config import TrainConfig
    from seglib.data.loader import PairSource, training_batches
    from seglib.hardware import usable_cores

    config = TrainConfig()
    print(f"{usable_cores()} cores. Images/s of the loader:")
    for threads in (0, 1, 2, 4, 8, 16):
        batches = iter(
            training_batches(
                PairSource(data.pairs("train"), inputs={"image": 3}),
                image_size=size,
                ignore_index=data.ignore_index,
                config=config,
                num_threads=threads,
            )
        )
        for _ in range(20):  # the pairs are decoded, and the buffer is full
            next(batches)
        images, started = 0, time.perf_counter()
        while time.perf_counter() < started + 3:
            next(batches)
            images += config.batch_size
        rate = images / (time.perf_counter() - started)
        print(f"{f'{threads} threads' if threads else 'as chosen':>10} {rate:6.0f}")


if __name__ == "__main__":
    main()
