r"""What an evaluation costs beside the bare network, and beside other libraries.

    python -m benchmarks.evaluate path/to/camvid --peer-python PYTHON
        [--model FOLDER] [--images 32] [--write docs/results.md]

PYTHON is that of an environment for keras_segmentation, as
against_keras_segmentation.py makes it; without it that row is left out. CPU seconds
stand beside wall seconds: on a shared machine only the former can be compared.
"""

import argparse
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from benchmarks.camvid import open_camvid
from benchmarks.tables import add_write_option, show
from seglib.data.dataset import Dataset
from seglib.data.pairs import read_pair
from seglib.evaluation.metrics import MeanIoU, confusion_matrix
from seglib.evaluation.scoring import BATCH_SIZE, score_pairs
from seglib.models import build_model
from seglib.models.model import SegmentationModel, load_model

SIZE = (192, 256)  # of the network of both libraries: the peer allows few
NAME = "unet"
_RUNS = 5


class Cost(NamedTuple):
    """Seconds an image."""

    wall: float
    cpu: float


def main() -> None:
    options = _options()
    data, _ = open_camvid(options.camvid, options.config)
    rows = []
    if options.model:
        rows += _overhead("the given model", load_model(options.model), data, options)
    ours = build_model(NAME, num_classes=data.num_classes, image_size=SIZE)
    ours.adopt_classes(data)
    rows += _overhead(f"{NAME}, {SIZE[0]}×{SIZE[1]}", ours, data, options)
    if options.peer_python:
        rows.append(_peer(data, options, rows[-1]))
    header = ["", "ms an image", "CPU ms an image", "ratio of CPU"]
    show("evaluation", header, [list(row[:4]) for row in rows], options.write)
    print(f"evaluated {options.images} images, {os.cpu_count()} cores\n")
    header = ["confusion matrix of one mask", "CPU ms", "ratio"]
    show("confusion", header, _confusions(data), options.write)


def _overhead(
    name: str, model: SegmentationModel, data: Dataset, options: argparse.Namespace
) -> list[tuple]:
    pairs = data.pairs("val")[: options.images]
    first = [read_pair(pair, model.contract.inputs)[0] for pair in pairs[:BATCH_SIZE]]
    images = np.stack(first)
    bare = _cost(lambda: model.served.predict_on_batch(images), len(images))
    plain = _cost(lambda: list(score_pairs(model, pairs)), len(pairs), runs=2)
    whole = _cost(
        lambda: list(score_pairs(model, pairs, detailed=True)), len(pairs), runs=2
    )
    return [
        (f"{name}: bare network", *_cells(bare), "1.00", bare),
        (f"{name}: confusion matrices", *_cells(plain), _ratio(plain, bare), plain),
        (f"{name}: all of an evaluation", *_cells(whole), _ratio(whole, bare), whole),
    ]


def _peer(data: Dataset, options: argparse.Namespace, ours: tuple) -> tuple:
    done = subprocess.run(
        [
            *(options.peer_python, "benchmarks/keras_segmentation_evaluation.py"),
            *(NAME, "--data", options.camvid, "--classes", str(data.num_classes)),
            *("--height", str(SIZE[0]), "--width", str(SIZE[1])),
            *("--images", str(min(8, options.images))),
        ],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": ""},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    cost = Cost(found["wall"], found["cpu"])
    name = (
        f"keras_segmentation's evaluate_segmentation, {NAME} of "
        f"{found['parameters'] / 1e6:.1f} M parameters, of which the network takes "
        f"{1e3 * found['network']:.0f} CPU ms"
    )
    return (name, *_cells(cost), f"{cost.cpu / ours[-1].cpu:.1f} × ours", cost)


def _confusions(data: Dataset) -> list[list[str]]:
    _, mask = read_pair(data.pairs("val")[0], {"image": 3})
    prediction = np.roll(mask, 3, axis=1)
    prediction[prediction == data.ignore_index] = 0
    count, void = data.num_classes, data.ignore_index
    keras_metric = keras.metrics.MeanIoU(count, ignore_class=void)
    in_graph = MeanIoU(count, void)
    logits = np.eye(count, dtype=np.float32)[prediction][None]

    def numpy() -> np.ndarray:
        kept = mask != void
        cells = mask[kept].astype(np.int64) * count + prediction[kept]
        return np.bincount(cells, minlength=count**2).reshape(count, count)

    def ours() -> np.ndarray:
        return confusion_matrix(mask, prediction, num_classes=count, ignore_index=void)

    if not (numpy() == ours()).all():
        raise AssertionError("the confusion matrices differ")
    base = _cost(ours, 1, runs=50)
    others = {
        "np.bincount": numpy,
        "seglib, in the graph, argmax included": lambda: in_graph.update_state(
            mask[None], logits
        ),
        "keras.metrics.MeanIoU": lambda: keras_metric.update_state(mask, prediction),
    }
    rows = [["seglib", f"{1e3 * base.cpu:.2f}", "1.0"]]
    for name, call in others.items():
        cost = _cost(call, 1, runs=50)
        rows.append([name, f"{1e3 * cost.cpu:.2f}", f"{cost.cpu / base.cpu:.1f}"])
    return rows


def _cost(call: Callable[[], object], images: int, *, runs: int = _RUNS) -> Cost:
    """The cheapest of some runs, after one that compiles."""
    call()
    found = []
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        found.append((time.perf_counter() - wall, time.process_time() - cpu))
    return Cost(*(min(column) / images for column in zip(*found, strict=True)))


def _cells(cost: Cost) -> tuple[str, str]:
    return f"{1e3 * cost.wall:.1f}", f"{1e3 * cost.cpu:.1f}"


def _ratio(cost: Cost, bare: Cost) -> str:
    return f"{cost.cpu / bare.cpu:.2f}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("camvid", type=Path)
    parser.add_argument("--peer-python")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument(
        "--config", type=Path, default=Path("configs/camvid-scratch.yaml")
    )
    add_write_option(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
