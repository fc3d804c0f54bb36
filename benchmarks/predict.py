r"""Prediction of a folder: against the bare network, and against keras_segmentation.

    python -m benchmarks.predict path/to/images --peer-python PYTHON

(See against_keras_segmentation.py for PYTHON; without it, the peer is left out.) The
network is `unet_mini` of keras_segmentation and ours of that name, untrained, at
192×256 with 11 classes: the numbers of parameters show how equal they are. `network`
is the forward pass alone, of batches that lie in memory at the network's size;
`served`, that with resizing to that size and back and with the argmax. Each number is
the least of the rounds; CPU seconds are those of all threads, and suffer less from
other processes.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

NAME, SIZE, NUM_CLASSES, BATCH_SIZE = "unet_mini", (192, 256), 11, 8
Cost = tuple[float, float]  # seconds and CPU seconds an image


def main() -> None:
    options = _options()
    costs, parameters = _ours(options)
    told = f"{NAME}: {parameters:,} parameters"
    if options.peer_python:
        peer = _peer(options)
        costs["keras_segmentation"] = peer["wall"], peer["cpu"]
        told += f", of keras_segmentation {peer['parameters']:,.0f}"
    table = Table("", "ms an image", "of the network", "CPU ms", "of the network")
    wall, cpu = costs["network"]
    for name, cost in costs.items():
        ratios = f"{cost[0] / wall:.2f}", f"{cost[1] / cpu:.2f}"
        table.add_row(
            *(name, f"{1000 * cost[0]:.1f}", ratios[0]),
            *(f"{1000 * cost[1]:.1f}", ratios[1]),
        )
    Console().print(table)
    print(f"{told}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


def _ours(options: argparse.Namespace) -> tuple[dict[str, Cost], int]:
    from seglib.data.image_io import read_image
    from seglib.models import build_model
    from seglib.steps.predict import predict

    model = build_model(NAME, num_classes=NUM_CLASSES, image_size=SIZE)
    paths = sorted(options.images.iterdir())
    images = np.stack([read_image(path) for path in paths])
    small = np.zeros((len(paths), *SIZE, 3), np.float32)

    def run_network() -> None:
        for batch in _batches(small):
            model.network.predict_on_batch(batch)

    def run_served() -> None:
        for batch in _batches(images):
            model.predict_batch(batch)

    with tempfile.TemporaryDirectory() as out:
        ways: dict[str, Callable[[], object]] = {
            "network": run_network,
            "served": run_served,
            "predict, ids": lambda: predict(model, paths, out),
            "predict, color": lambda: predict(model, paths, out, save="color"),
        }
        for run in ways.values():
            run()  # compiles
        rounds = [
            {name: _cost(run, len(paths)) for name, run in ways.items()}
            for _ in range(options.rounds)
        ]
    costs = {
        name: (min(each[name][0] for each in rounds), min(e[name][1] for e in rounds))
        for name in ways
    }
    return costs, model.network.count_params()


def _peer(options: argparse.Namespace) -> dict[str, float]:
    script = Path(__file__).parent / "keras_segmentation_side.py"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                *(options.peer_python, script, NAME),
                *("--data", options.images, "--out", folder),
                *("--classes", str(NUM_CLASSES), "--rounds", str(options.rounds)),
                *("--height", str(SIZE[0]), "--width", str(SIZE[1])),
            ],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": ""},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    facts: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return facts


def _cost(run: Callable[[], object], count: int) -> Cost:
    started, cpu = time.perf_counter(), time.process_time()
    run()
    wall = (time.perf_counter() - started) / count
    return wall, (time.process_time() - cpu) / count


def _batches(images: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, len(images), BATCH_SIZE):
        yield images[first : first + BATCH_SIZE]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path, help="folder of images of one size")
    parser.add_argument("--peer-python")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
